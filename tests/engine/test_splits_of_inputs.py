"""What a statement reads, and what those read that go along with it, is packed apart."""

from __future__ import annotations

from itertools import count

import numpy as np
import pytest

from taskpar_kernel.engine.dispatch import refuse_splits
from taskpar_kernel.engine.ledger import Ledger
from taskpar_kernel.engine.marks import AmbientMark
from taskpar_kernel.errors import NotPortable
from taskpar_kernel.model.ids import Place
from taskpar_kernel.transport.segments import Segments

WORKER = Place(1)


@pytest.fixture
def ledger() -> Ledger:
    return Ledger(count(1), Segments(None, "home"), AmbientMark())


def test_an_array_and_a_view_of_it_do_not_go_apart(ledger: Ledger) -> None:
    x = np.arange(6.0)
    goes_along = ledger.bundles_for({"y": [x]}, WORKER)
    read = ledger.bundles_for({"w": x[2:4]}, WORKER)
    with pytest.raises(NotPortable, match="share memory"):
        refuse_splits([goes_along, read])


def test_nor_does_one_object(ledger: Ledger) -> None:
    inner = [1]
    with pytest.raises(NotPortable, match="share objects"):
        refuse_splits(
            [ledger.bundles_for({"a": [inner]}, WORKER), ledger.bundles_for({"b": inner}, WORKER)]
        )


def test_what_shares_nothing_goes(ledger: Ledger) -> None:
    x = np.arange(6.0)
    goes_along = ledger.bundles_for({"y": [x]}, WORKER)
    refuse_splits([goes_along, ledger.bundles_for({"w": x[2:4].copy()}, WORKER), goes_along])
