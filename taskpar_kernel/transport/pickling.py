"""Objects come in, `Packed` frames go out, and back."""

from __future__ import annotations

import pickle

import cloudpickle

from taskpar_kernel.model.messages import Packed


def pack(value: object) -> Packed:
    """Pickle `value` with its large buffers out of band."""
    buffers: list[pickle.PickleBuffer] = []
    inband = cloudpickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    return Packed(inband, tuple(bytes(b.raw()) for b in buffers))


def unpack(packed: Packed) -> object:
    """Rebuild the value; its buffers are private and writable."""
    return pickle.loads(packed.inband, buffers=[bytearray(b) for b in packed.buffers])  # type: ignore[arg-type]
