"""A loopback interface of our own, and the bytes that went over it: nothing else on this machine talks there.

`alone` runs one of our modules in a network namespace, as any user may on Linux; the module calls `bring_up` first.
"""

from __future__ import annotations

import fcntl
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

_SET_FLAGS = 0x8914
"""SIOCSIFFLAGS of Linux."""

_UP = 0x1
_COUNTERS = Path("/proc/net/dev")
_UNSHARE = ("unshare", "--user", "--map-root-user", "--net")


class AloneError(Exception):
    """There are no network namespaces here, or what ran in one has failed; the message says which."""


def alone(module: str, *arguments: str, timeout_s: float) -> str:
    """Run a module in a namespace of its own; return what it prints. Raises `AloneError`."""
    if shutil.which(_UNSHARE[0]) is None or _run([*_UNSHARE, "true"], 10).returncode:
        message = "no network namespaces for this user here (unshare --user --net fails)"
        raise AloneError(message)
    done = _run([*_UNSHARE, sys.executable, "-m", module, *arguments], timeout_s)
    if done.returncode:
        message = f"{module} ended with {done.returncode}: {done.stderr[-1_000:]}"
        raise AloneError(message)
    return done.stdout


def bring_up() -> None:
    """Switch the loopback interface of a new namespace on."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sh14x", b"lo", _UP))


def looped_bytes() -> int:
    """Return how many bytes came over the loopback interface so far, headers of TCP and IP included."""
    for line in _COUNTERS.read_text("utf-8").splitlines():
        name, _, counters = line.partition(":")
        if name.strip() == "lo":
            return int(counters.split()[0])
    message = "there is no loopback interface here"
    raise AloneError(message)


def _run(command: Sequence[str], timeout_s: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own module
        command, capture_output=True, text=True, timeout=timeout_s, check=False
    )
