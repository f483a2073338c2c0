"""`python -m testnet`: the same as `p2pnode testnet`."""

from __future__ import annotations

from testnet.cli import command

if __name__ == "__main__":
    command(prog_name="python -m testnet")
