"""`python -m testnet.fuzz`."""

from __future__ import annotations

import sys

from testnet.fuzz.command import main

if __name__ == "__main__":
    sys.exit(main())
