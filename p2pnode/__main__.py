"""Lets `python -m p2pnode` be the command line."""

from __future__ import annotations

import sys

from p2pnode.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
