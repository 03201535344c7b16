"""What holds for all tests."""

from __future__ import annotations

import os
import signal

# A shell starts what it runs in the background with SIGINT ignored, and children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# No test rests on one before it, and none touches what the user's own kernels have learned.
os.environ["TASKPAR_HISTORY"] = "0"
