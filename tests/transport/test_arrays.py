"""Arrays arrive with their values, layout, flags and sharing, or not at all."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from taskpar_kernel.errors import NotPortable
from taskpar_kernel.transport.pickling import pack, pickle_value, unpack

DTYPES = st.one_of(
    hnp.integer_dtypes(),
    hnp.floating_dtypes(),
    hnp.complex_number_dtypes(),
    hnp.boolean_dtypes(),
    hnp.datetime64_dtypes(),
    hnp.timedelta64_dtypes(),
    hnp.unicode_string_dtypes(min_len=1),
    hnp.byte_string_dtypes(min_len=1),
    st.just(np.dtype([("a", "<i4"), ("b", "<f8", (2,))])),
)
SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
STEPS = st.lists(st.sampled_from([1, -1, 2]), min_size=3, max_size=3)


def same_layout(new: np.ndarray, old: np.ndarray) -> None:
    assert new.dtype == old.dtype
    assert new.shape == old.shape
    assert new.tobytes() == old.tobytes()
    assert new.flags.writeable == old.flags.writeable
    if old.size:
        assert new.strides == old.strides


@settings(max_examples=150, deadline=None)
@given(DTYPES.flatmap(lambda d: hnp.arrays(d, SHAPES)), STEPS, st.booleans(), st.booleans())
def test_round_trip(array: np.ndarray, steps: list[int], fortran: bool, frozen: bool) -> None:
    if fortran:
        array = np.asfortranarray(array)
    array = array[tuple(slice(None, None, s) for s in steps[: array.ndim])]
    array = np.asarray(array)
    if frozen:
        array.flags.writeable = False
    same_layout(unpack(pack(array)), array)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(24.0).reshape(2, 3, 4).transpose(1, 0, 2),
        np.arange(24).reshape(4, 6)[:, ::-2],
        np.array(5.0),
        np.zeros((3, 0, 2)),
        np.zeros((0,), dtype=object),
        np.array([1, None, "x"], dtype=object),
        np.array([[1, [2]], ["x", {}]], dtype=object, order="F"),
        np.array(["2020-01-01", "NaT"], dtype="datetime64[D]"),
        np.arange(3, dtype=">i8"),
        np.array([b"a", b"bc"]),
        np.zeros(2, dtype="V3"),
    ],
    ids=lambda a: f"{a.dtype}{a.shape}",
)
def test_round_trip_of_a_case(array: np.ndarray) -> None:
    new = unpack(pack(array))
    assert new.dtype == array.dtype
    assert new.shape == array.shape
    if array.size:
        assert new.strides == array.strides
    assert new.tolist() == array.tolist() or array.dtype.kind == "M"


def test_a_view_shares_memory_with_its_base() -> None:
    base = np.arange(12.0).reshape(3, 4)
    new, row, reverse = unpack(pack([base, base[1], base[:, ::-1]]))
    new[1, 1] = 100
    assert row[1] == 100
    assert reverse[1, 2] == 100


def test_two_views_share_memory_although_their_base_is_not_sent() -> None:
    base = np.arange(12.0)
    left, right = unpack(pack((base[:8], base[4:])))
    left[5] = 100
    assert right[1] == 100


def test_a_read_only_view_of_a_writeable_array_stays_so() -> None:
    base = np.arange(4.0)
    view = base[:2]
    view.flags.writeable = False
    new, seen = unpack(pack((base, view)))
    assert new.flags.writeable
    assert not seen.flags.writeable
    new[0] = 9
    assert seen[0] == 9


def test_sharing_objects_survives() -> None:
    base = np.array([[1], "x", None], dtype=object)
    new, view = unpack(pack((base, base[1:])))
    new[2] = "changed"
    assert view[1] == "changed"


def _memmap(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    return np.memmap(tmp_path_factory.mktemp("map") / "m", shape=4, mode="w+")


BYTES = bytearray(b"abcdefgh")
REFUSED = {
    "record": np.zeros(2, dtype=[("a", int)])[0],
    "broadcast": np.broadcast_to(np.arange(3.0), (1000, 3)),
    "tiny view of much": np.arange(100_000.0)[::50_000],
    "strided objects": np.array([1, None, "x"], dtype=object)[::2],
    "strided subclass": np.ma.masked_array(np.arange(9))[::2],
    "two small views of much": [(a := np.zeros(1_000_000))[:2], a[1:3]],
    "memory of another object": (BYTES, np.frombuffer(BYTES, np.uint8)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    with pytest.raises(NotPortable):
        pickle_value(REFUSED[name])


def test_a_memmap_is_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(NotPortable, match="memmap"):
        pickle_value(_memmap(tmp_path_factory))


def test_spans_cover_the_memory() -> None:
    array = np.arange(10.0)
    (low, high), *more = pickle_value(array[::-1]).spans
    assert not more
    assert high - low == array.nbytes
