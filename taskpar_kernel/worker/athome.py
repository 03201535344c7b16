"""What of a library is home's alone: an attempt that comes to it ends, home does it at its turn.

A warning or a log record that would be shown, and pyplot's list of figures: home knows which
warnings were shown before, has the handlers of the log, and shows the figures after the cell.

The rule: whoever comes to it is stopped, the user's code or a library's.
"""

from __future__ import annotations

import logging
import sys
import warnings
from collections import OrderedDict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import NoReturn

    Stop = Callable[[str], NoReturn]

_PYPLOT = "matplotlib._pylab_helpers"


@contextmanager
def left_to_home(stop: Stop) -> Iterator[None]:
    """Call `stop` with what was about to happen, whenever the block comes to what is home's."""
    shown, logged = warnings._showwarnmsg, logging.Logger.callHandlers  # type: ignore[attr-defined]
    pyplot = sys.modules.get(_PYPLOT)
    figures = pyplot.Gcf.figs if pyplot is not None else None

    def refuse_warning(message: Any) -> None:
        stop(f"a warning: {message.category.__name__}: {message.message}")

    def refuse_record(_logger: Any, record: Any) -> None:
        stop(f"a log record of {record.name!r}")

    warnings._showwarnmsg = refuse_warning  # type: ignore[attr-defined]
    logging.Logger.callHandlers = refuse_record  # type: ignore[method-assign, assignment]
    if pyplot is not None:
        pyplot.Gcf.figs = _Figures(stop)
    try:
        yield
        if pyplot is None and _has_figures():
            stop("pyplot's figures")
    finally:
        warnings._showwarnmsg = shown  # type: ignore[attr-defined]
        logging.Logger.callHandlers = logged  # type: ignore[method-assign]
        if pyplot is not None:
            pyplot.Gcf.figs = figures
        elif _has_figures():
            sys.modules[_PYPLOT].Gcf.destroy_all()


class _Figures(OrderedDict[Any, Any]):
    """Stands for pyplot's figures: it ends the attempt of whoever looks at them."""

    def __init__(self, stop: Stop):
        super().__init__()
        self._stop = stop

    def _refuse(self, *_arguments: Any) -> NoReturn:
        self._stop("pyplot's figures")

    __len__ = __iter__ = __reversed__ = __contains__ = _refuse
    __getitem__ = __setitem__ = __delitem__ = _refuse
    get = pop = popitem = setdefault = update = clear = _refuse  # type: ignore[assignment]
    keys = values = items = move_to_end = copy = _refuse  # type: ignore[assignment]


def _has_figures() -> bool:
    """Whether an attempt that was the first here to import pyplot has drawn with it."""
    pyplot = sys.modules.get(_PYPLOT)
    return pyplot is not None and bool(pyplot.Gcf.figs)
