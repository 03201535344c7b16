"""The bundles a worker holds, by key.

Packed values come in as they arrived; attempts read them, and put what they made. The rule: a
value is unpacked only where it is used, so what nobody reads costs nothing, and a value that came
twice is kept once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from taskpar_kernel.model.ids import Key
    from taskpar_kernel.model.messages import Packed


class Store:
    """Packed bundles by key. It does not decide when a bundle goes: home says so."""

    def __init__(self) -> None:
        self._bundles: dict[Key, Packed] = {}

    def __contains__(self, key: object) -> bool:
        return key in self._bundles

    def __len__(self) -> int:
        return len(self._bundles)

    def put(self, key: Key, packed: Packed) -> None:
        """Keep `packed` as `key`; a second value of the same key is ignored."""
        self._bundles.setdefault(key, packed)

    def get(self, key: Key) -> Packed:
        """Return the bundle `key`; KeyError if it is not here."""
        return self._bundles[key]

    def drop(self, key: Key) -> None:
        """Drop the bundle `key`, if it is here."""
        self._bundles.pop(key, None)
