"""One hash seed for home and workers, so that sets of strings iterate alike in all of them.

The rule: the seed is fixed before the interpreter starts, drawn anew for each kernel as Python
would, and the user's `os.environ` never shows it. A seed that the user chose stays visible.
"""

from __future__ import annotations

import os
import sys

_NAME, _OURS = "PYTHONHASHSEED", "TASKPAR_HASH_SEED"


class HashSeed:
    """The seed this process was started with, as far as it is known. One per process."""

    known: str | None = None

    @classmethod
    def fix(cls) -> None:
        """Restart the interpreter with a fixed seed unless it has one; then learn it."""
        chosen = os.environ.get(_NAME, "random")
        if chosen == "random" and not sys.flags.ignore_environment and not sys.flags.isolated:
            seed = str(int.from_bytes(os.urandom(4), "little") or 1)
            environ = {**os.environ, _NAME: seed, _OURS: seed}
            os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environ)  # noqa: S606
        cls.learn()

    @classmethod
    def learn(cls) -> None:
        """Remember the seed in the environment, and hide it there if it is not the user's."""
        chosen = os.environ.get(_NAME, "random")
        if chosen != "random" and not sys.flags.ignore_environment:
            cls.known = chosen
        if os.environ.pop(_OURS, None) is not None:
            os.environ.pop(_NAME, None)

    @classmethod
    def environment(cls) -> dict[str, str]:
        """Return the variables a worker is started with, so that it has the same seed."""
        return {} if cls.known is None else {_NAME: cls.known, _OURS: cls.known}
