"""Records of cells that never ran, for the tests of what is told of them."""

from __future__ import annotations

from taskpar_kernel.model.run import (
    PlannedRecord,
    ReasonRecord,
    RunRecord,
    StatementRecord,
    TransferRecord,
)


def ran(line: int, source: str, place: str, span: tuple[float, float], **more) -> StatementRecord:
    state = more.pop("state", "home" if place == "home" else "committed")
    reason, kind = more.pop("why", ("", ""))
    return StatementRecord(line, source, place, state, *span, reason, kind, **more)


AT_HOME = ("it prints", "in-order")
MIXED = RunRecord(
    wall_s=3.1,
    serial_s_estimate=5.8,
    workers=2,
    statements=(
        ran(1, "import x", "home", (0.0, 0.2), why=("an import", "blocked-import"), writes=("x",)),
        ran(2, "a = f(1)", "home", (0.2, 1.4), reads=("f",), writes=("a",)),
        ran(3, "b = f(2)", "1", (0.25, 1.5), reads=("f",), writes=("b",)),
        ran(4, "c = f(3) < '&'", "2", (0.25, 1.7), reads=("f",), writes=("c",)),
        ran(5, "d = g(a, b)", "1", (1.6, 2.6), reads=("a", "b"), writes=("d",)),
        ran(
            6,
            "e = h(c)",
            "home",
            (1.9, 2.4),
            state="squashed",
            why=("`c` was changed in between", "squashed-changed"),
            reads=("c",),
            writes=("e",),
        ),
        ran(7, "print(d, e)", "home", (2.6, 3.1), why=AT_HOME, reads=("d", "e")),
    ),
    transfers=(
        TransferRecord("a", "home", "1", 80_000_000, 0.02, 1.4),
        TransferRecord("f", "home", "2", 800, 0.001, -0.2),
    ),
    ahead=4,
    committed_ahead=3,
    squashed=1,
    notes=("taskpar: worker 2 ended <here>",),
    reasons=(ReasonRecord(7, "print(d, e)", "in-order", "it prints", "", 1, 0.5),),
    planned=(
        PlannedRecord(2, "home", 0.2, 1.3),
        PlannedRecord(3, "1", 0.2, 1.4),
        PlannedRecord(4, "2", 0.2, 1.9),
    ),
)
SERIAL = RunRecord(
    wall_s=0.5,
    serial_s_estimate=0.5,
    workers=2,
    statements=(ran(1, "x = 1", "home", (0.0, 0.0), why=("too short: 0.1 ms", "too-short")),),
)
LOOP = RunRecord(
    wall_s=10.0,
    serial_s_estimate=20.0,
    workers=2,
    statements=tuple(
        ran(2, "f(x)", str(1 + i % 2), (i / 500, i / 500 + 0.004), reads=("f", "x"))
        for i in range(5000)
    ),
    ahead=5000,
    committed_ahead=5000,
)
EMPTY = RunRecord()
EVERY = {"mixed": MIXED, "serial": SERIAL, "loop": LOOP, "empty": EMPTY}
