"""What holds for all tests."""

from __future__ import annotations

import signal

# A shell starts what it runs in the background with SIGINT ignored, and children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
