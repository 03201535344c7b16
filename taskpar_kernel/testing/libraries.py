"""Objects of numpy, pandas, matplotlib and torch come in, a head line and their children go out.

The rule: a library is looked up in `sys.modules` and never imported. Arrays are told by type,
strides and bytes; pandas objects by content, because their memory is pandas' own affair.
"""

from __future__ import annotations

import io
import sys
from typing import Any

from taskpar_kernel.testing.plain import FLAT, Child, Description, attributes, hash_of


class Memory:
    """Which arrays were met, and where in memory they lie."""

    def __init__(self) -> None:
        self._ranges: dict[int, list[tuple[int, int, str, bool]]] = {}

    def note(self, path: str, array: Any, *, frame: bool) -> str:
        """Note an array; return " shares memory with …" if it overlaps one met before, else "".

        `frame` says that pandas owns it. Two frames that share are left out: nobody can notice,
        since pandas copies on writing. Cost: O(arrays met that have the same owner).
        """
        if array.size == 0:
            return ""
        owner = array
        while getattr(owner, "base", None) is not None:
            owner = owner.base
        if isinstance(owner, memoryview):
            owner = owner.obj
        low, high = sys.modules["numpy"].lib.array_utils.byte_bounds(array)
        ranges = self._ranges.setdefault(id(owner), [])
        found = ""
        for other_low, other_high, other, other_frame in ranges:
            if low < other_high and other_low < high and not (frame and other_frame):
                found = f" shares memory with {other} at {low - other_low:+d}"
                break
        ranges.append((low, high, path, frame))
        return found


class Values:
    """The values of a pandas object; the walk tells them by content."""

    def __init__(self, array: Any, text: str):
        self.array = array
        self.text = text


def is_fixed(value: object) -> bool:
    """Whether a library's object cannot be changed, so that its identity does not matter."""
    numpy, pandas = sys.modules.get("numpy"), sys.modules.get("pandas")
    if numpy is not None and isinstance(value, numpy.generic | numpy.dtype):
        return True
    index = getattr(pandas, "Index", None)
    return index is not None and isinstance(value, index)


def describe(path: str, value: Any, memory: Memory) -> Description | None:
    """Describe a library's object, or return None if it belongs to none of these libraries."""
    if isinstance(value, Values):
        return _values(value)
    for find in (_of_numpy, _of_pandas, _of_matplotlib, _of_torch):
        found = find(path, value, memory)
        if found is not None:
            return found
    return None


def _of_numpy(path: str, value: Any, memory: Memory) -> Description | None:
    numpy = sys.modules.get("numpy")
    if numpy is None or not hasattr(numpy, "dtype"):  # absent, or being imported
        return None
    if isinstance(value, numpy.generic):
        return f"{value.dtype.str} {hash_of(value.tobytes())}", []
    if isinstance(value, numpy.dtype):
        return repr(value), []
    if not isinstance(value, numpy.ndarray):
        return None
    strides = tuple(s for s, n in zip(value.strides, value.shape, strict=True) if n > 1)
    flags = "" if value.flags.writeable else " read-only"
    flags += "" if value.flags.aligned else " unaligned"
    shared = memory.note(path, value, frame=False)
    content, children = _array_content(value)
    if type(value) is not numpy.ndarray:
        children += attributes(value)
    return f"{value.dtype.str} {value.shape} {strides}{flags}{shared} {content}", children


def _array_content(array: Any) -> Description:
    numpy = sys.modules["numpy"]
    if array.dtype.names:  # one field at a time: the padding between them holds chance
        fields = [_array_content(array[name]) for name in array.dtype.names]
        text = " ".join(text for text, _ in fields)
        return f"{array.dtype.descr} {text}", [c for _, children in fields for c in children]
    if array.dtype.hasobject:
        items = array.ravel().tolist() if array.ndim else [array.item()]
        if set(map(type, items)) <= FLAT:
            return hash_of("\0".join(map(repr, items)).encode("utf-8", "surrogatepass")), []
        return f"{len(items)} objects", [(f"[{i}]", item) for i, item in enumerate(items)]
    return hash_of(numpy.ascontiguousarray(array).reshape(-1).view(numpy.uint8)), []


def _of_pandas(path: str, value: Any, memory: Memory) -> Description | None:
    pandas = sys.modules.get("pandas")
    if pandas is None or not hasattr(pandas, "api"):
        return None
    if isinstance(value, pandas.DataFrame | pandas.Series):
        return _frame(path, value, memory, pandas)
    if isinstance(value, pandas.Index):
        return _index(value, pandas)
    if isinstance(value, pandas.Categorical):
        parts = [(".codes", _own(value.codes)), (".categories", value.categories)]
        return f"ordered {value.ordered}", parts
    if isinstance(value, pandas.api.extensions.ExtensionArray):
        return repr(value.dtype), _extension_parts(value)
    return None


def _frame(path: str, value: Any, memory: Memory, pandas: Any) -> Description:
    children: list[Child] = [(".attrs", dict(value.attrs)), (".index", value.index)]
    head = f"{value.shape} {value.flags.allows_duplicate_labels}"
    if isinstance(value, pandas.Series):
        column = _column(f"{path}.array", value, memory)
        return head, [*children, (".name", value.name), (".array", column)]
    children.append((".columns", value.columns))
    for i in range(value.shape[1]):
        step = f".iloc[:, {i}]"
        children.append((step, _column(path + step, value.iloc[:, i], memory)))
    return head, children


def _column(path: str, series: Any, memory: Memory) -> Values:
    """Wrap a column's values; its memory is noted, so that arrays that share it say so."""
    inner = getattr(series.array, "_ndarray", None)
    shared = "" if inner is None else memory.note(path, inner, frame=True)
    return Values(series.array, f"{series.dtype}{shared}")


def _index(value: Any, pandas: Any) -> Description:
    if isinstance(value, pandas.MultiIndex):
        levels, codes = list(value.levels), [_own(c) for c in value.codes]
        return "", [(".names", list(value.names)), (".levels", levels), (".codes", codes)]
    if isinstance(value, pandas.RangeIndex):
        return f"{value.start} {value.stop} {value.step}", [(".name", value.name)]
    head = f"{value.dtype!r} {getattr(value, 'freqstr', None)}"
    return head, [(".name", value.name), (".array", Values(value.array, str(value.dtype)))]


def _values(value: Values) -> Description:
    inner = getattr(value.array, "_ndarray", None)
    if inner is None:
        return value.text, [("", value.array)]
    content, children = _array_content(inner)
    return f"{value.text} {inner.dtype.str} {inner.shape} {content}", children


def _extension_parts(value: Any) -> list[Child]:
    numpy = sys.modules["numpy"]
    names = ("_ndarray", "_data", "_mask", "_codes", "_left", "_right")
    found = [(f".{name}", getattr(value, name, None)) for name in names]
    parts = [(n, _own(p) if isinstance(p, numpy.ndarray) else p) for n, p in found if p is not None]
    return parts or [(".<list>", value.tolist())]


def _own(array: Any) -> Any:
    """Return a contiguous array of our own: its content counts, its place does not."""
    return sys.modules["numpy"].array(array)


def _of_matplotlib(_path: str, value: Any, _memory: Memory) -> Description | None:
    figures, artists = sys.modules.get("matplotlib.figure"), sys.modules.get("matplotlib.artist")
    if figures is None or artists is None or not hasattr(figures, "Figure"):
        return None
    if isinstance(value, figures.Figure):
        return f"{len(value.axes)} axes {_picture(value)}", []
    if isinstance(value, artists.Artist):
        return "drawn in", [(".figure", value.get_figure())]
    return None


def _picture(figure: Any) -> str:
    """Return the hash of a figure's picture: its inner state holds caches and chance."""
    from matplotlib.backends.backend_agg import (  # only where there are figures
        FigureCanvasAgg,
    )

    canvas, picture = figure.canvas, io.BytesIO()
    try:
        FigureCanvasAgg(figure).print_png(picture)
    finally:
        figure.set_canvas(canvas)
    return hash_of(picture.getvalue())


def _of_torch(path: str, value: Any, memory: Memory) -> Description | None:
    torch: Any = sys.modules.get("torch")
    kind: Any = getattr(torch, "Tensor", None)
    if kind is None or not isinstance(value, kind):
        return None
    plain = value.detach().cpu()
    head = f"{plain.dtype} {tuple(plain.shape)} {plain.stride()} grad {value.requires_grad}"
    shared = memory.note(path, plain.numpy(), frame=False)
    return f"{head}{shared} {hash_of(plain.contiguous().numpy().tobytes())}", []
