"""Home's process-wide state comes in at quiet moments; its mark, and a copy for workers, come out.

The rule: state is looked at only between statements. What a statement does to it in passing (a
`catch_warnings` block inside a library) is nobody else's state, and may last as long as the
statement; what workers are sent during it was captured before.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from taskpar_kernel.ambient import providers
from taskpar_kernel.ambient.libraries import LIBRARIES
from taskpar_kernel.model.effects import Blocker, Effects, Touch

_TELLING = frozenset({Blocker.AMBIENT, Blocker.IMPORT, Blocker.SHELL})
_ANYWHERE = frozenset({Blocker.IMPORT, Blocker.NAMESPACE, Blocker.SHELL, Blocker.UNKNOWN})
"""What lets a statement reach libraries that no name in it leads to."""
_BETWEEN_S = 0.01
"""How seldom the mark is taken, which costs 0.1 ms, after statements not known to change it."""


class AmbientMark:
    """The mark of home's ambient state as of the last look, and the state itself.

    A look that is left out for its cost can only make a prediction wrong: outcomes are judged by
    `now`, in a quiet moment.
    """

    def __init__(self) -> None:
        self.mark: dict[str, object] = {}
        self.state: dict[str, Any] = {}
        self._is_old = True
        self._is_wrong = True
        self._looked_s = 0.0

    def now(self) -> dict[str, object]:
        """Return the mark as of now, if home asks, between two statements.

        On another thread, where some state is another (`decimal`, NumPy's options), it is that of
        the last look.
        """
        if self._is_old and threading.current_thread() is threading.main_thread():
            mark = providers.fingerprint(carried_only=True)
            if mark != self.mark:
                self.mark, self.state = mark, providers.capture()
            self._looked_s = time.monotonic()
            self._is_old = self._is_wrong = False
        return self.mark

    def passed(
        self, effects: Effects | None = None, names: Mapping[str, Any] = MappingProxyType({})
    ) -> None:
        """Home has run something with these effects, or anything; `names` mean this there.

        Where there are local names, too, a function that is called may mean the global one.
        """
        if effects is not None and effects.touch is not Touch.NOTHING:
            levels = getattr(names, "maps", (names,))
            values = [level[name] for level in levels for name in effects.used if name in level]
            reaches_all = not values or any(r.blocker in _ANYWHERE for r in effects.home)
            LIBRARIES.suspect(LIBRARIES.all() if reaches_all else LIBRARIES.packages(values, names))
        self._is_old = True
        self._is_wrong |= effects is None or any(r.blocker in _TELLING for r in effects.home)

    def before_home(self) -> None:
        """Home, between two statements, is about to be busy: look once more, if that is cheap."""
        if self._is_wrong or time.monotonic() - self._looked_s > _BETWEEN_S:
            self.now()


__all__ = ["AmbientMark"]
