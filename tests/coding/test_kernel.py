"""Which kernel is used, and what happens when the one that was asked for is not there."""

import ctypes
import importlib
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from p2pnode.coding import blob_id, compiled, kernel
from p2pnode.coding.errors import KernelUnavailableError
from p2pnode.coding.kernel import LIBRARY, VARIABLE, choice, choose, current
from p2pnode.errors import CallerError
from tests.coding.kernels import KERNEL_NAMES, TESTED_LIBRARY


@pytest.fixture(autouse=True)
def fresh_choice() -> Iterator[None]:
    """Let each test choose anew, and the tests after it as well."""
    choice.cache_clear()
    yield
    choice.cache_clear()


@pytest.fixture
def missing(tmp_path: Path) -> Path:
    return tmp_path / "_kernel.so"


@pytest.fixture
def broken(missing: Path) -> Path:
    missing.write_bytes(b"\x7fELF, but no more of it")
    return missing


def test_without_a_library_the_reference_is_used_and_says_why(missing: Path) -> None:
    chosen = choose("", library=missing)
    assert chosen.kernel.name == "reference"
    assert chosen.available == ("reference",)
    assert chosen.reason == (
        "there is no compiled kernel: _kernel.so was not built, as without a C compiler at install"
    )


def test_a_library_that_fails_to_load_is_not_used_and_the_reason_is_told(broken: Path) -> None:
    chosen = choose("", library=broken)
    assert chosen.kernel.name == "reference"
    assert "_kernel.so cannot be loaded" in chosen.reason


@pytest.mark.parametrize("name", ["scalar", "avx2", "avx512"])
def test_forcing_a_path_of_a_library_that_is_not_there_or_broken_is_an_error(missing: Path, name: str) -> None:
    with pytest.raises(KernelUnavailableError, match=rf"{VARIABLE}={name}: .*not built.*; available: reference$"):
        choose(name, library=missing)
    missing.write_bytes(b"no library at all")
    with pytest.raises(
        KernelUnavailableError, match=rf"{VARIABLE}={name}: .*cannot be loaded.*; available: reference$"
    ):
        choose(name, library=missing)


def test_a_library_without_our_functions_is_not_used() -> None:
    """That of numpy is one that certainly loads."""
    other = importlib.import_module("numpy._core._multiarray_umath").__file__
    assert other is not None
    chosen = choose("", library=Path(other))
    assert chosen.kernel.name == "reference"
    assert "kernel_abi" in chosen.reason


@pytest.mark.parametrize("name", ["sse9", "Reference", "AVX2"])
def test_a_kernel_that_does_not_exist_is_an_error_that_names_those_that_do(name: str) -> None:
    names = ", ".join(KERNEL_NAMES)
    with pytest.raises(KernelUnavailableError, match=rf"={name}: there is no such kernel; available: {names}$"):
        choose(name, library=TESTED_LIBRARY)


class Functions:
    """A library in which every function returns this number."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __getattr__(self, _name: str) -> Callable[..., int]:
        return lambda *_arguments: self.number


def test_a_path_that_the_processor_lacks_is_never_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "load", lambda _library: (Functions(0), ("scalar",)))
    assert choose("", library=LIBRARY).kernel.name == "scalar"
    with pytest.raises(
        KernelUnavailableError, match="avx512: this processor cannot run it; available: reference, scal"
    ):
        choose("avx512", library=LIBRARY)


def test_a_library_of_other_sources_is_not_used(monkeypatch: pytest.MonkeyPatch, broken: Path) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _path: Functions(999))
    monkeypatch.setattr(kernel, "declare", lambda _functions: None)
    chosen = choose("", library=broken)
    assert chosen.kernel.name == "reference"
    assert f"was built from other sources (version 999, not {compiled.ABI}): install again" in chosen.reason


def test_the_paths_are_those_that_the_library_says_the_processor_has(
    monkeypatch: pytest.MonkeyPatch, broken: Path
) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _path: Functions(compiled.ABI))
    monkeypatch.setattr(kernel, "declare", lambda _functions: None)
    bits = compiled.ABI  # The same number, for want of another.
    assert kernel.load(broken)[1] == tuple(name for at, name in enumerate(compiled.PATHS) if bits >> at & 1) != ()


@pytest.mark.parametrize("name", KERNEL_NAMES)
def test_the_variable_forces_each_kernel_and_all_give_the_same_id(
    rng: random.Random, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(kernel, "LIBRARY", TESTED_LIBRARY)
    data = rng.randbytes(5000)
    expected = blob_id(data, 13)
    choice.cache_clear()
    monkeypatch.setenv(VARIABLE, name)
    assert current().name == name
    assert choice().reason == f"{VARIABLE} asks for it"
    assert blob_id(data, 13) == expected


def test_the_fastest_is_used_when_nothing_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "LIBRARY", TESTED_LIBRARY)
    monkeypatch.delenv(VARIABLE, raising=False)
    assert current().name == KERNEL_NAMES[-1]
    assert current() is current()


def test_the_error_is_the_callers() -> None:
    assert issubclass(KernelUnavailableError, CallerError)
