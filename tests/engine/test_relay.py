"""What was shown live is not shown again by the statement's own run, however deep that goes."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest

from taskpar_kernel.engine.relay import Relay
from taskpar_kernel.model.ids import Place, Ticket
from taskpar_kernel.model.messages import Output


class Stream(io.StringIO):
    """Has attributes, as ipykernel's streams have."""


def put_in_place(monkeypatch: pytest.MonkeyPatch) -> Stream:
    stream = Stream()  # in the test itself: pytest puts its own in place before
    monkeypatch.setattr(sys, "stdout", stream)
    return stream


def told(text: str) -> Output:
    content: dict[str, Any] = {"name": "stdout", "text": text}
    return Output(Ticket(1), Place(1), "stream", content)


def test_the_same_words_are_kept_back_and_others_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = put_in_place(monkeypatch)
    relay = Relay(None)
    relay.arrives(0)
    relay.expect_again([told("one\n"), told("two\n")])
    print("one")
    print("two and a half")
    relay.arrives(0)
    print("one")
    assert stream.getvalue() == "two and a half\none\n"


def test_they_are_kept_back_inside_the_functions_that_the_statement_calls(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream = put_in_place(monkeypatch)
    relay = Relay(None)
    relay.arrives(1)
    relay.expect_again([told("one\ntwo\n")])
    relay.arrives(2)
    print("one")
    relay.arrives(2)
    print("two")
    print("three")
    relay.arrives(1)
    print("one")
    assert stream.getvalue() == "three\none\n"


def test_a_statement_inside_may_have_been_shown_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = put_in_place(monkeypatch)
    relay = Relay(None)
    relay.arrives(0)
    relay.expect_again([told("one\ntwo\n")])
    relay.arrives(1)
    relay.show([told("one\n")])  # live, of an attempt that fails
    relay.expect_again([told("one\n")])
    print("one")
    relay.arrives(1)
    print("two")
    print("three")
    relay.arrives(0)
    print("two")
    assert "write" not in vars(stream)
    assert stream.getvalue() == "three\ntwo\n"
