"""What the compiled kernel refuses before any C code sees it. Nothing here depends on which path runs."""

from collections.abc import Callable

import numpy as np
import pytest

from p2pnode.coding.compiled import CompiledKernel
from p2pnode.coding.errors import CodingError, KernelInputError
from p2pnode.coding.field import Octets
from p2pnode.coding.interface import EncodeBuffers, Kernel, Pattern, new_buffers
from p2pnode.coding.reed_solomon import Code
from p2pnode.coding.shape import Shape


class NoLibrary:
    """A library whose every function reports the same status, so that what gets through is told apart."""

    def __init__(self, status: int = 0) -> None:
        self.status = status
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Callable[..., int]:
        def function(*_arguments: object) -> int:
            self.calls.append(name)
            return self.status

        return function


SHAPE = Shape(7, 3, 5, 10)
CODE = Code(5, 2)


@pytest.fixture
def library() -> NoLibrary:
    return NoLibrary()


@pytest.fixture
def kernel(library: NoLibrary) -> Kernel:
    kernel = CompiledKernel(library, "scalar")  # type: ignore[arg-type]  # It has every function of the library.
    library.calls.clear()
    return kernel


def array(*shape: int) -> Octets:
    return np.zeros(shape, dtype=np.uint8)


def read_only(octets: Octets) -> Octets:
    octets.flags.writeable = False
    return octets


def buffers(**changed: Octets | int) -> EncodeBuffers:
    good = new_buffers(SHAPE, top=array(3, 7, 10), bottom=array(4, 5, 10))
    fields = {name: getattr(good, name) for name in ("top", "bottom", "row_nodes", "column_roots", "page_columns")}
    return EncodeBuffers(**(fields | changed))


BAD_ROWS: dict[str, Callable[[Kernel], object]] = {
    "too much data": lambda kernel: kernel.encode_rows(SHAPE, array(151), array(3, 7, 10), range(3)),
    "data of two dimensions": lambda kernel: kernel.encode_rows(SHAPE, array(15, 10), array(3, 7, 10), range(3)),
    "data with gaps": lambda kernel: kernel.encode_rows(SHAPE, array(20)[::2], array(3, 7, 10), range(3)),
    "another top": lambda kernel: kernel.encode_rows(SHAPE, array(5), array(3, 6, 10), range(3)),
    "a top of wider numbers": lambda kernel: kernel.encode_rows(
        SHAPE,
        array(5),
        array(3, 7, 10).astype(np.uint16),
        range(3),
    ),
    "a top that is read-only": lambda kernel: kernel.encode_rows(SHAPE, array(5), read_only(array(3, 7, 10)), range(3)),
    "rows after the last": lambda kernel: kernel.encode_rows(SHAPE, array(5), array(3, 7, 10), range(2, 4)),
    "rows before the first": lambda kernel: kernel.encode_rows(SHAPE, array(5), array(3, 7, 10), range(-1, 2)),
    "every second row": lambda kernel: kernel.encode_rows(SHAPE, array(5), array(3, 7, 10), range(0, 3, 2)),
    "odd symbols": lambda kernel: kernel.encode_rows(Shape(7, 3, 5, 3), array(5), array(3, 7, 3), range(3)),
    "symbols above the limit": lambda kernel: kernel.encode_rows(
        Shape(7, 3, 5, 65_536), array(5), array(3, 7, 65_536), range(3)
    ),
    "more shards than the format has": lambda kernel: kernel.encode_rows(
        Shape(1001, 335, 668, 2), array(5), array(335, 1001, 2), range(3)
    ),
}

BAD_COLUMNS: dict[str, Callable[[Kernel], object]] = {
    "another bottom": lambda kernel: kernel.encode_columns(SHAPE, buffers(bottom=array(4, 5, 9)), range(1)),
    "other row nodes": lambda kernel: kernel.encode_columns(SHAPE, buffers(row_nodes=array(7, 2, 31)), range(1)),
    "other roots": lambda kernel: kernel.encode_columns(SHAPE, buffers(column_roots=array(6, 32)), range(1)),
    "a page that is no power of two": lambda kernel: kernel.encode_columns(SHAPE, buffers(page_columns=3), range(1)),
    "no page": lambda kernel: kernel.encode_columns(SHAPE, buffers(page_columns=0), range(1)),
    "too large a page": lambda kernel: kernel.encode_columns(
        SHAPE, buffers(page_columns=8, row_nodes=array(7, 1, 32)), range(1)
    ),
    "a page after the last": lambda kernel: kernel.encode_columns(SHAPE, buffers(), range(1, 3)),
}

BAD_SLIVERS: dict[str, Callable[[Kernel], object]] = {
    "no code": lambda kernel: kernel.sliver_hashes(Code(5, 0), array(1, 5, 10)),
    "too long a code": lambda kernel: kernel.sliver_hashes(Code(5, 996), array(1, 5, 10)),
    "another number of symbols": lambda kernel: kernel.sliver_hashes(CODE, array(1, 6, 10)),
    "too many slivers": lambda kernel: kernel.sliver_hashes(CODE, array(1001, 5, 2)),
    "symbols with gaps": lambda kernel: kernel.sliver_hashes(CODE, array(1, 5, 20)[:, :, ::2]),
    "symbols that stand apart": lambda kernel: kernel.sliver_hashes(CODE, array(1, 5, 20)[:, :, :10]),
    "slivers in reverse": lambda kernel: kernel.sliver_hashes(CODE, array(2, 5, 10)[::-1]),
    "slivers of wider numbers": lambda kernel: kernel.sliver_hashes(
        CODE,
        array(1, 5, 10).astype(np.uint16),
    ),
    "a sliver of another length": lambda kernel: kernel.expand(CODE, array(4, 10)),
    "nodes of another length": lambda kernel: kernel.fold(array(2, 2, 31)),
    "too many nodes": lambda kernel: kernel.fold(array(1, 1001, 32)),
    "no nodes": lambda kernel: kernel.fold(array(1, 0, 32)),
    "no leaves": lambda kernel: kernel.merkle_root(array(0, 64)),
    "too many leaves": lambda kernel: kernel.merkle_root(array(1001, 64)),
    "leaves of nothing": lambda kernel: kernel.merkle_root(array(4, 0)),
    "leaves with gaps": lambda kernel: kernel.merkle_root(array(4, 64)[::2]),
}

BAD_PATHS: dict[str, Callable[[Kernel], object]] = {
    "a proof missing": lambda kernel: kernel.follow_paths([b"", b""], [b""], index=0, height=0),
    "a short proof": lambda kernel: kernel.follow_paths([b""], [bytes(63)], index=0, height=2),
    "an index outside": lambda kernel: kernel.follow_paths([b""], [bytes(64)], index=4, height=2),
    "an index below zero": lambda kernel: kernel.follow_paths([b""], [bytes(64)], index=-1, height=2),
    "too high a tree": lambda kernel: kernel.follow_paths([b""], [bytes(352)], index=0, height=11),
    "leaves of two lengths": lambda kernel: kernel.follow_paths([b"", b"a"], [b"", b""], index=0, height=0),
    "leaves above the limit": lambda kernel: kernel.follow_paths([bytes(65_535)], [b""], index=0, height=0),
}


def restore(kernel: Kernel, inputs: list[Octets], outputs: list[Octets]) -> None:
    kernel.restore(Pattern(CODE, (0, 1, 2, 5, 6), (3, 4), array(7 * 128)), inputs, outputs)


BAD_PATTERNS: dict[str, Callable[[Kernel], object]] = {
    "too few received": lambda kernel: kernel.locate(CODE, received=[0, 1, 2, 5], wanted=[3]),
    "a position twice": lambda kernel: kernel.locate(CODE, received=[0, 1, 2, 5, 5], wanted=[3]),
    "received and wanted": lambda kernel: kernel.locate(CODE, received=[0, 1, 2, 3, 5], wanted=[3]),
    "a position outside": lambda kernel: kernel.locate(CODE, received=[0, 1, 2, 5, 7], wanted=[3]),
    "a position below zero": lambda kernel: kernel.locate(CODE, received=[-1, 1, 2, 5, 6], wanted=[3]),
    "a wanted recovery symbol": lambda kernel: kernel.locate(CODE, received=[0, 1, 2, 3, 4], wanted=[5]),
    "an input missing": lambda kernel: restore(kernel, [array(4, 10)] * 4, [array(4, 10)] * 2),
    "an output missing": lambda kernel: restore(kernel, [array(4, 10)] * 5, [array(4, 10)]),
    "inputs of two shapes": lambda kernel: restore(kernel, [*[array(4, 10)] * 4, array(3, 10)], [array(4, 10)] * 2),
    "outputs of another shape": lambda kernel: restore(kernel, [array(4, 10)] * 5, [array(4, 12)] * 2),
    "outputs that are read-only": lambda kernel: restore(
        kernel, [array(4, 10)] * 5, [array(4, 10), read_only(array(4, 10))]
    ),
    "inputs of two strides": lambda kernel: restore(
        kernel, [*[array(4, 10)] * 4, array(4, 20)[:, :10]], [array(4, 10)] * 2
    ),
    "too many words": lambda kernel: restore(kernel, [array(1001, 2)] * 5, [array(1001, 2)] * 2),
}

ALL_BAD = BAD_ROWS | BAD_COLUMNS | BAD_SLIVERS | BAD_PATHS | BAD_PATTERNS


@pytest.mark.parametrize("call", ALL_BAD.values(), ids=ALL_BAD.keys())
def test_bad_input_never_reaches_the_library(
    kernel: Kernel, library: NoLibrary, call: Callable[[Kernel], object]
) -> None:
    with pytest.raises(KernelInputError):
        call(kernel)
    assert library.calls == []


def test_good_input_reaches_it(kernel: Kernel, library: NoLibrary) -> None:
    kernel.encode_rows(SHAPE, array(150), array(3, 7, 10), range(3))
    kernel.encode_columns(SHAPE, buffers(), range(2))
    kernel.fold(array(2, 3, 32))
    kernel.sliver_hashes(CODE, array(3, 7, 10)[:, :5])
    kernel.expand(CODE, array(5, 10))
    kernel.merkle_root(array(7, 64))
    kernel.follow_paths([b"", b""], [bytes(64), bytes(64)], index=3, height=2)
    kernel.locate(CODE, received=[0, 1, 2, 5, 6], wanted=[3, 4])
    restore(kernel, [array(4, 10)] * 5, [array(2, 4, 10)[0]] * 2)
    kernel.restore(Pattern(CODE, (0, 1, 2, 3, 4), (), array(0)), [array(4, 10)] * 5, [])
    assert len(library.calls) == 10


def test_a_library_without_memory_raises_memory_error(kernel: Kernel, library: NoLibrary) -> None:
    library.status = 2
    with pytest.raises(MemoryError):
        kernel.fold(array(2, 3, 32))


def test_a_refusal_by_the_library_is_our_own_mistake(kernel: Kernel, library: NoLibrary) -> None:
    library.status = 1
    with pytest.raises(AssertionError, match="kernel_fold refused"):
        kernel.fold(array(2, 3, 32))


def test_the_error_is_a_coding_error() -> None:
    assert issubclass(KernelInputError, CodingError)
