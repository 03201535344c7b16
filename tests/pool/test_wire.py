"""Messages to frames and back, and the bookkeeping of values on their way."""

from __future__ import annotations

import pickle

import pytest

from taskpar_kernel.errors import WireError
from taskpar_kernel.model.ids import HOME, Key, Place, Ticket
from taskpar_kernel.model.messages import Finished, Packed, Run, Script, Segment, Value
from taskpar_kernel.pool.transfers import Missing, Transfers
from taskpar_kernel.transport.sockets import VERSION, decode, encode

ONE, TWO, THREE = Place(1), Place(2), Place(3)
K = Key(7)
BIG = bytes(1_000_000)
PACKED = Packed(b"inband", (BIG, Segment("/dev/shm/x", 64, 128), b"small"))

MESSAGES = [
    Script((Run(Ticket(1), "x = 1"),)),
    Value(K, ONE, PACKED, "y", 1.5),
    Value(K, ONE, Packed(b""), error="NameError: y"),
    Finished(Ticket(3), TWO, ok=True, start_s=1.0, end_s=2.0, outputs=4, packed=PACKED),
    Finished(Ticket(3), TWO, ok=False, start_s=1.0, end_s=2.0, why="it raised"),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(m).__name__)
def test_round_trip(message: object):
    letter = decode(encode(TWO, 5, message))
    assert (letter.sender, letter.incarnation, letter.message) == (TWO, 5, message)


def test_large_buffers_are_passed_on_not_copied():
    header, inband, first, second = encode(ONE, 1, Value(K, ONE, PACKED))
    assert first is BIG
    assert (inband, second) == (b"inband", b"small")
    assert len(header) < 1000


FOREIGN = {
    "nothing": [b""],
    "noise": [b"\x00\xffnoise"],
    "another pickle": [pickle.dumps({"a": 1})],
    "another version": [pickle.dumps((VERSION + 1, ONE, 1, MESSAGES[0]))],
    "no inband frame": encode(ONE, 1, MESSAGES[1])[:1],
    "a missing frame": encode(ONE, 1, MESSAGES[1])[:-1],
}


@pytest.mark.parametrize("frames", FOREIGN.values(), ids=FOREIGN.keys())
def test_foreign_messages_are_refused(frames: list[bytes]):
    with pytest.raises(WireError):
        decode(frames)


def test_transfers_name_who_waits_for_a_dead_worker():
    transfers = Transfers()
    transfers.asked(K, ONE, (TWO, HOME), "y")
    transfers.asked(Key(8), TWO, (ONE,), "x")
    transfers.ended(K, HOME)
    missing = transfers.of_source(ONE)
    assert missing == [Missing(K, ONE, TWO, "y")]
    assert transfers.still_open(missing[0])
    transfers.ended(K, TWO)
    assert not transfers.still_open(missing[0])
    assert len(transfers) == 1


def test_transfers_forget_those_who_died_waiting():
    transfers = Transfers()
    transfers.asked(K, ONE, (TWO, THREE), "y")
    transfers.forget_target(TWO)
    assert [m.target for m in transfers.of_source(ONE)] == [THREE]
