"""What touches files: bare writes stay home, functions that also write travel, natives never."""

# ruff: noqa: E501 - one case, one line

from __future__ import annotations

from analysis_cases import Case, check, table

from taskpar_kernel.analysis.tables import function_entry
from taskpar_kernel.model.effects import Blocker

WORK = """
import csv, io, os, pathlib, shutil, pickle
def write(p):
    with open(p, "w") as f:
        f.write("x")
    return p
def chat(p):
    with open(p, "a") as f:
        print("x", file=f)
def rows(p):
    with open(p, "w") as f:
        w = csv.writer(f)
        w.writerow([1])
def by_path(p):
    path = pathlib.Path(p)
    path.parent.mkdir(exist_ok=True)
    with path.open("w") as f:
        f.write("x")
    path.write_text("y")
def tidy(p): os.remove(p); shutil.move("a", "b"); os.makedirs("c")
def keep(p, o): pickle.dump(o, open(p, "wb"))
def runs(p): os.system(p)
def parquet(o, p): o.to_parquet(p)
def given(o, p): o.to_csv(p)
"""


@table(
    Case("a function that writes", "a = write('p')", reads="write", writes="a", extra=WORK, files="written"),
    Case("prints into a file", "chat('p')", reads="chat", extra=WORK, files="written"),
    Case("csv rows", "rows('p')", reads="rows csv", extra=WORK, files="written"),
    Case("by pathlib", "by_path('p')", reads="by_path pathlib", extra=WORK, files="written"),
    Case("moves and removes", "tidy('p')", reads="tidy os shutil", extra=WORK, files="written"),
    Case("pickles", "keep('p', xs)", reads="keep pickle xs", extra=WORK, files="written"),
    Case("a frame that is not known", "given(v, 'p')", reads="given v", opaque="v", extra=WORK, files="written"),
    Case("natively", "parquet(v, 'p')", reads="parquet v", opaque="v", extra=WORK, files="written", home="world"),
    Case("runs a program", "runs('p')", reads="runs os", extra=WORK, home="world"),
    Case("in a comprehension", "a = [write(t) for t in 'ab']", reads="write", writes="a", extra=WORK, files="written"),
    Case("bare open", "open('p', 'w').write(text)", reads="text", home="files", files="written"),
    Case("bare Path.open", "with pathlib.Path('p').open('w') as f: pass", reads="pathlib", writes="f", extra=WORK, home="files", files="written"),
    Case("bare Path.open to read", "with pathlib.Path('p').open() as f: a = f.read()", reads="pathlib", writes="f a", extra=WORK, files="read"),
    Case("bare mkdir", "os.mkdir('p')", reads="os", home="files", files="written"),
)  # fmt: skip
def test_files(case: Case) -> None:
    check(case, "plain")


def test_native_libraries_stay_home() -> None:
    for dotted in ("h5py.File", "tables.open_file", "netCDF4.Dataset", "pyarrow.parquet.write_table",
                   "fastparquet.write", "cv2.imwrite", "torch.save", "sqlite3.connect"):  # fmt: skip
        entry = function_entry(dotted)
        assert entry is not None, dotted
        assert entry.blocker in {Blocker.WORLD, Blocker.HANDLE}, dotted
    entry = function_entry("pandas.read_parquet")
    assert entry is not None
    assert "reads_natively" in entry.words
