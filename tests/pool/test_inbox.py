"""The worker's state machine, without a worker: messages in, steps out."""

from __future__ import annotations

import itertools
import random

import pytest

from taskpar_kernel.model.ids import Key, Place, Ticket
from taskpar_kernel.model.messages import (
    Attempt,
    Forget,
    Instruction,
    Packed,
    Receive,
    Run,
    Send,
    Value,
)
from taskpar_kernel.worker.inbox import Bind, Carry, Inbox, Miss, Wait
from taskpar_kernel.worker.store import Store

A, B, C = Key(1), Key(2), Key(3)
PEER = Place(2)


def receive(key: Key, name: str = "") -> Receive:
    return Receive(key, PEER, 5.0, name)


def value(key: Key, error: str = "") -> Value:
    return Value(key, PEER, Packed(b"v"), error=error)


def attempt(ticket: int, *reads: Key) -> Attempt:
    pairs = tuple((f"n{key}", key) for key in reads)
    return Attempt(Ticket(ticket), Key(100 + ticket), b"", f"s{ticket}", pairs)


def run(ticket: int) -> Run:
    return Run(Ticket(ticket), "pass")


def steps(inbox: Inbox) -> list[object]:
    found = []
    while (step := inbox.next_step()) is not None:
        found.append(step)
    return found


@pytest.fixture
def inbox() -> Inbox:
    return Inbox(Store())


def test_instructions_are_carried_out_in_order(inbox: Inbox):
    inbox.script([run(1), run(2)])
    inbox.script([run(3)])
    assert steps(inbox) == [Carry(run(1)), Carry(run(2)), Carry(run(3))]
    assert inbox.next_step() is None


def test_receive_of_a_value_that_is_here_does_not_wait(inbox: Inbox):
    inbox.value(value(A))
    inbox.script([receive(A), run(1)])
    assert steps(inbox) == [Bind(receive(A)), Carry(run(1))]


def test_receive_suspends_the_rest_until_its_value_comes(inbox: Inbox):
    inbox.script([receive(A), run(1)])
    assert steps(inbox) == [Wait(receive(A), 1)]
    inbox.value(value(B))
    assert steps(inbox) == []
    inbox.script([run(2)])
    assert steps(inbox) == []
    inbox.value(value(A))
    assert steps(inbox) == [Bind(receive(A)), Carry(run(1)), Carry(run(2))]


def test_other_values_are_set_aside_for_later_receives(inbox: Inbox):
    inbox.script([receive(A), receive(B)])
    assert steps(inbox) == [Wait(receive(A), 1)]
    inbox.value(value(B))
    inbox.value(value(A))
    assert steps(inbox) == [Bind(receive(A)), Bind(receive(B))]


def test_limit_ends_the_wait_and_the_rest_goes_on(inbox: Inbox):
    inbox.script([receive(A, "y"), run(1)])
    steps(inbox)
    inbox.limit_reached(1)
    assert steps(inbox) == [Miss(receive(A, "y"), ""), Carry(run(1))]


def test_limit_of_an_earlier_wait_does_not_end_a_later_one(inbox: Inbox):
    inbox.script([receive(A), receive(B)])
    steps(inbox)
    inbox.value(value(A))
    assert steps(inbox) == [Bind(receive(A)), Wait(receive(B), 2)]
    inbox.limit_reached(1)
    assert steps(inbox) == []


def test_error_in_place_of_a_value_ends_the_wait_early(inbox: Inbox):
    inbox.script([receive(A), run(1)])
    steps(inbox)
    inbox.value(value(A, "NameError: no y"))
    assert steps(inbox) == [Miss(receive(A), "NameError: no y"), Carry(run(1))]
    assert inbox.why_absent(A) == "NameError: no y"


def test_error_that_comes_first_is_found_by_the_receive(inbox: Inbox):
    inbox.value(value(A, "WorkerLost: gone"))
    inbox.script([receive(A)])
    assert steps(inbox) == [Miss(receive(A), "WorkerLost: gone")]


def test_value_wins_over_an_error_in_either_order(inbox: Inbox):
    inbox.value(value(A))
    inbox.value(value(A, "WorkerLost: gone"))
    inbox.value(value(B, "WorkerLost: gone"))
    inbox.value(value(B))
    inbox.script([receive(A), receive(B)])
    assert steps(inbox) == [Bind(receive(A)), Bind(receive(B))]


def test_late_value_of_a_missed_variable_is_not_kept():
    store = Store()
    inbox = Inbox(store)
    inbox.script([receive(A, "y")])
    steps(inbox)
    inbox.limit_reached(1)
    steps(inbox)
    inbox.value(value(A))
    assert len(store) == 0


def test_abandon_takes_attempts_and_the_receives_that_only_serve_them(inbox: Inbox):
    inbox.script([receive(A), attempt(1, A), receive(B), attempt(2, A, B), attempt(3, B)])
    assert steps(inbox) == [Wait(receive(A), 1)]
    gone = inbox.abandon([Ticket(1), Ticket(2)])
    assert [a.ticket for a in gone] == [1, 2]
    assert inbox.waiting_for is None
    assert steps(inbox) == [Wait(receive(B), 2)]
    inbox.value(value(B))
    assert steps(inbox) == [Bind(receive(B)), Carry(attempt(3, B))]


def test_abandon_keeps_what_others_read_and_what_has_a_name(inbox: Inbox):
    script = [receive(A), receive(B), receive(C, "y"), attempt(1, A, B, C), Send(B, (PEER,))]
    inbox.script(script)
    inbox.abandon([Ticket(1)])
    inbox.value(value(B))
    inbox.value(value(C))
    expected = [Bind(receive(B)), Bind(receive(C, "y")), Carry(Send(B, (PEER,)))]
    assert steps(inbox) == expected


def test_receive_that_was_abandoned_comes_back_before_a_later_reader(inbox: Inbox):
    inbox.script([receive(A), attempt(1, A)])
    steps(inbox)
    inbox.abandon([Ticket(1)])
    inbox.script([attempt(2, A)])
    assert steps(inbox) == [Wait(receive(A), 2)]
    inbox.value(value(A))
    assert steps(inbox) == [Bind(receive(A)), Carry(attempt(2, A))]


def test_abandon_of_what_is_not_here_changes_nothing(inbox: Inbox):
    inbox.script([receive(A), attempt(1, A)])
    steps(inbox)
    assert inbox.abandon([Ticket(9)]) == []
    assert inbox.waiting_for == receive(A)


def test_forget_drops_values():
    store = Store()
    inbox = Inbox(store)
    inbox.value(value(A))
    inbox.value(value(B, "NameError: no"))
    inbox.forget([A, B])
    inbox.script([receive(A), Forget((A,))])
    assert A not in store
    assert steps(inbox) == [Wait(receive(A), 1)]


def test_a_shelved_receive_does_not_come_back_behind_its_forget(inbox: Inbox):
    inbox.value(value(A))
    inbox.script([receive(A), attempt(1, A)])
    inbox.abandon([Ticket(1)])
    inbox.script([Forget((A,))])
    inbox.script([attempt(2, A)])
    assert steps(inbox) == [Carry(Forget((A,))), Carry(attempt(2, A))]


@pytest.mark.parametrize("seed", range(20))
def test_any_arrival_order_gives_the_same_script(seed: int):
    """Scripts and values interleaved at random: the same instructions, in the same order."""
    rng = random.Random(seed)
    keys = [Key(k) for k in range(8)]
    script: list[object] = []
    for number, key in enumerate(keys):
        script += [receive(key), run(number)]
    inbox = Inbox(Store())
    scripts = [("script", i) for i in script]
    values = [("value", k) for k in rng.sample(keys, len(keys))]
    carried: list[object] = []
    while scripts or values:
        which = scripts if scripts and (not values or rng.random() < 0.5) else values
        kind, item = which.pop(0)
        inbox.script([item]) if kind == "script" else inbox.value(value(item))
        carried += [s for s in steps(inbox) if not isinstance(s, Wait)]
        waiting = inbox.waiting_for
        assert waiting is None or waiting.key in [k for _, k in values]
    pairs = zip(keys, itertools.count(), strict=False)
    assert carried == [s for k, n in pairs for s in (Bind(receive(k)), Carry(run(n)))]


@pytest.mark.parametrize("seed", range(20))
def test_in_any_arrival_order_attempts_begin_as_soon_as_they_can(seed: int):
    rng = random.Random(seed)
    keys = [Key(k) for k in range(8)]
    inbox = Inbox(Store())
    scripts = [[receive(k), attempt(k, k)] for k in keys]
    values = rng.sample(keys, len(keys))
    sent: set[Key] = set()
    here: set[Key] = set()
    carried: list[Key] = []
    while scripts or values:
        if scripts and (not values or rng.random() < 0.5):
            inbox.script(scripts[0])
            sent.add(scripts.pop(0)[0].key)
        else:
            here.add(values[0])
            inbox.value(value(values.pop(0)))
        for step in steps(inbox):
            if isinstance(step, Carry):
                assert isinstance(step.instruction, Attempt)
                carried += step.instruction.needs
        assert sorted(carried) == sorted(sent & here)


# Overtaking -------------------------------------------------------------------------------------


def test_an_attempt_overtakes_one_that_waits(inbox: Inbox):
    inbox.script([receive(A), attempt(1, A), attempt(2), attempt(3, A)])
    assert steps(inbox) == [Wait(receive(A), 1), Carry(attempt(2))]
    inbox.value(value(A))
    assert steps(inbox) == [Bind(receive(A)), Carry(attempt(1, A)), Carry(attempt(3, A))]


def test_what_one_that_waits_makes_is_waited_for(inbox: Inbox):
    inbox.script([receive(A), attempt(1, A), attempt(2, Key(101)), receive(B), attempt(3, B)])
    inbox.value(value(B))
    assert steps(inbox) == [Wait(receive(A), 1), Carry(attempt(3, B))]


def test_a_value_leaves_although_something_waits(inbox: Inbox):
    inbox.value(value(B))
    inbox.script([receive(A), attempt(1, A), Send(B, (PEER,))])
    assert steps(inbox) == [Wait(receive(A), 1), Carry(Send(B, (PEER,)))]


@pytest.mark.parametrize("barrier", [run(9), Forget((C,)), receive(C, "c"), Send(C, (PEER,), "c")])
def test_what_is_done_by_name_keeps_its_order(inbox: Inbox, barrier: Instruction):
    inbox.script([receive(A), barrier, attempt(2)])
    assert steps(inbox) == [Wait(receive(A), 1)]
    inbox.value(value(A))
    assert steps(inbox)[0] == Bind(receive(A))


def test_one_that_overtakes_can_be_abandoned_before(inbox: Inbox):
    inbox.script([receive(A), attempt(1, A), attempt(2)])
    assert inbox.next_step() == Wait(receive(A), 1)
    assert inbox.abandon([Ticket(2)]) == [attempt(2)]
    assert inbox.next_step() is None
