"""Finding the compiled kernel and choosing what is used: the one module of this package that looks at the machine.

Who had a C compiler at install has the library, and so has who installs a wheel. The fastest of its paths that the
processor can run is used. Everybody else gets the reference. `P2PNODE_KERNEL` forces one of them by its name.
"""

from __future__ import annotations

import ctypes
import functools
import os
import platform
from dataclasses import dataclass
from pathlib import Path

from p2pnode.coding.compiled import ABI, PATHS, CompiledKernel, declare
from p2pnode.coding.errors import KernelUnavailableError
from p2pnode.coding.interface import Kernel
from p2pnode.coding.reference import REFERENCE

VARIABLE = "P2PNODE_KERNEL"
"""The environment variable that forces a kernel by its name."""

LIBRARY = Path(__file__).with_name("_kernel.so")
"""What setup.py builds."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The kernel that is used, and why."""

    kernel: Kernel
    reason: str
    available: tuple[str, ...]
    """The names that P2PNODE_KERNEL may have here, slowest first."""


@functools.cache
def choice() -> Choice:
    """Return the kernel of this process, chosen on first use.

    Two threads that come first both choose, and write the same values to the same tables.

    Raises `KernelUnavailableError` when P2PNODE_KERNEL names one that is not to be had.
    """
    return choose(os.environ.get(VARIABLE, ""), library=LIBRARY)


def current() -> Kernel:
    """Return the kernel that is used; raises as `choice` does."""
    return choice().kernel


def choose(wanted: str, *, library: Path) -> Choice:
    """Return the wanted kernel, or the fastest when `wanted` is empty. Raises `KernelUnavailableError`."""
    paths: tuple[str, ...] = ()
    why_not = "this processor cannot run it"
    functions: ctypes.CDLL | None = None
    try:
        functions, paths = load(library)
    except KernelUnavailableError as error:
        why_not = str(error)
    available = (REFERENCE.name, *paths)
    name = wanted or available[-1]
    if name not in available:
        why_not = why_not if name in PATHS else "there is no such kernel"
        message = f"{VARIABLE}={name}: {why_not}; available: {', '.join(available)}"
        raise KernelUnavailableError(message)
    if wanted:
        reason = f"{VARIABLE} asks for it"
    elif paths:
        reason = "the fastest that this processor can run"
    else:
        reason = f"there is no compiled kernel: {why_not}"
    if functions is None or name == REFERENCE.name:
        return Choice(REFERENCE, reason, available)
    return Choice(CompiledKernel(functions, name), reason, available)


def load(library: Path) -> tuple[ctypes.CDLL, tuple[str, ...]]:
    """Return a library and its paths that this processor can run, slowest first. Raises `KernelUnavailableError`."""
    if not library.exists():
        message = f"{library.name} was not built, as without a C compiler at install"
        raise KernelUnavailableError(message)
    try:
        functions = ctypes.CDLL(str(library))
        declare(functions)
    except (OSError, AttributeError) as error:
        message = f"{library.name} cannot be loaded on this {platform.machine()}: {error}"
        raise KernelUnavailableError(message) from error
    abi = functions.kernel_abi()
    if abi != ABI:
        message = f"{library.name} was built from other sources (version {abi}, not {ABI}): install again"
        raise KernelUnavailableError(message)
    bits = functions.kernel_paths()
    return functions, tuple(name for number, name in enumerate(PATHS) if bits >> number & 1)
