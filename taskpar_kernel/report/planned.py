"""A plan comes in, what `%taskpar plan` shows goes out: text as planning prints it, and HTML."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskpar_kernel.report.markup import paragraphs, preformatted

if TYPE_CHECKING:
    from taskpar_kernel.planning.plan import Plan

KNOWN = "seconds are those observed; nothing was run"
UNKNOWN = (
    "a statement of unknown cost counts for one second here, so only the order tells; "
    "after the cell has run, observed seconds are used; nothing was run"
)


def plan_report(plan: Plan, *, timed: bool) -> tuple[str, str]:
    """Return text and HTML of a plan; `timed`: its costs were observed."""
    note = KNOWN if timed else UNKNOWN
    text = str(plan)
    head, _, rest = text.partition("\n")
    return f"{text}\n\n{note}", paragraphs([head]) + preformatted(rest.strip("\n")) + paragraphs(
        [note]
    )
