"""The door: `python -m taskpar_kernel.testing.differential`; `command` is what runs."""

from __future__ import annotations

import sys

from taskpar_kernel.testing.differential.command import main

if __name__ == "__main__":
    sys.exit(main())
