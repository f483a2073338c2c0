"""What this machine can do, and the only way to skip a test that needs more than it can.

A skip that nobody sees is a hole in the tests. So each reason to skip is a named capability here, every
run prints which ones it has, and the summary counts the tests that went without (`tests/conftest.py`).
"""

import ctypes
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable

import pytest


def _has_compiler() -> bool:
    """Whether the C compiler that the build would use compiles; CC=false says no."""
    command = [os.environ.get("CC", "cc"), "-x", "c", "-fsyntax-only", "-"]
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, input=b"int zero;", capture_output=True, check=False).returncode == 0


def _has_ipv6() -> bool:
    """Whether a socket can be bound to the IPv6 loopback address."""
    if not socket.has_ipv6:
        return False
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            return False
    return True


def _has_ptrace() -> bool:
    """Whether a process may be traced; containers often forbid it. A child asks, because there is no way back."""
    if not hasattr(ctypes.CDLL(None), "ptrace"):
        return False
    ask_to_be_traced = "import ctypes, sys; sys.exit(ctypes.CDLL(None).ptrace(0, 0, None, None) != 0)"
    return subprocess.run([sys.executable, "-c", ask_to_be_traced], capture_output=True, check=False).returncode == 0


def _has_network_namespaces() -> bool:
    """Whether network namespaces can be made and joined by pairs of virtual cables; it takes root."""
    if shutil.which("ip") is None:
        return False
    name = f"p2pnode-probe-{os.getpid()}"
    if subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False).returncode != 0:
        return False
    pair = ["ip", "-n", name, "link", "add", "one", "type", "veth", "peer", "name", "other"]
    can_join = subprocess.run(pair, capture_output=True, check=False).returncode == 0
    subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)
    return can_join


def _has_arm_emulator() -> bool:
    """Whether programs for 64-bit ARM can be compiled and run here."""
    return all(shutil.which(tool) is not None for tool in ("aarch64-linux-gnu-gcc", "qemu-aarch64"))


def _has_mounts() -> bool:
    """Whether a file system in memory can be mounted; it takes root."""
    if shutil.which("mount") is None or shutil.which("umount") is None:
        return False
    with tempfile.TemporaryDirectory() as place:
        mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", place]
        if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
            return False
        return subprocess.run(["umount", place], capture_output=True, check=False).returncode == 0


_PROBES: dict[str, Callable[[], bool]] = {
    "arm emulator": _has_arm_emulator,
    "compiler": _has_compiler,
    "ipv6": _has_ipv6,
    "mounts": _has_mounts,
    "network namespaces": _has_network_namespaces,
    "ptrace": _has_ptrace,
}

CAPABILITIES: dict[str, bool] = {name: probe() for name, probe in _PROBES.items()}
"""Probed once a run, when pytest starts."""

SKIP_REASON = "this machine lacks: "


def requires(capability: str) -> pytest.MarkDecorator:
    """Mark a test that runs only where the machine has the capability."""
    return pytest.mark.skipif(not CAPABILITIES[capability], reason=SKIP_REASON + capability)


def describe() -> str:
    """Return one line that names every capability."""
    return "capabilities: " + ", ".join(f"{name} {'yes' if has else 'no'}" for name, has in CAPABILITIES.items())
