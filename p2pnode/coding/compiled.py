"""Calling the compiled kernel. The C code trusts what it is told, so every call is checked here first.

The library has no idea of Python: ctypes calls it, and lets other threads run meanwhile. A call keeps what it works on
alive until it returns, so a caller that was cancelled may forget its arrays.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from crypto.hashing import HASH_BYTES, Buffer
from p2pnode.coding.errors import KernelInputError
from p2pnode.coding.field import Octets
from p2pnode.coding.interface import EncodeBuffers, ExpandedSliver, Pattern, node_count
from p2pnode.coding.reed_solomon import Code
from p2pnode.coding.shape import Shape
from wire.limits import SHARDS_MAX, SYMBOL_BYTES_MAX

ABI = 2
"""KERNEL_ABI of native/kernel.h."""

PATHS = ("scalar", "avx2", "avx512", "neon")
"""The names of the paths, by their numbers in native/kernel.h; the later of two that a processor can run is faster."""

_FACTOR_BYTES = 128
_ALIGNMENT = 64
_NO_MEMORY = 2
"""STATUS_NO_MEMORY."""


class _Shape(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint32) for name in ("n", "rows", "columns", "symbol_bytes", "page", "pages"))


_INT, _U32, _U64, _POINTER = ctypes.c_int32, ctypes.c_uint32, ctypes.c_uint64, ctypes.c_void_p
_SHAPE = ctypes.POINTER(_Shape)

_ARGUMENTS: Mapping[str, Sequence[object]] = {
    "kernel_abi": (),
    "kernel_paths": (),
    "kernel_prepare": (_INT,),
    "kernel_encode_rows": (_INT, _SHAPE, _POINTER, _U64, _POINTER, _U32, _U32),
    "kernel_encode_columns": (_INT, _SHAPE, _POINTER, _POINTER, _POINTER, _POINTER, _U32, _U32),
    "kernel_fold": (_INT, _POINTER, _U32, _U32, _POINTER),
    "kernel_sliver_roots": (_INT, _U32, _U32, _U32, _POINTER, _U64, _U32, _POINTER),
    "kernel_expand": (_INT, _U32, _U32, _U32, _POINTER, _POINTER, _POINTER),
    "kernel_merkle_root": (_INT, _POINTER, _U32, _U32, _POINTER, _POINTER),
    "kernel_follow_paths": (_INT, _POINTER, _U32, _POINTER, _U32, _U32, _U32, _POINTER),
    "kernel_locate": (_INT, _U32, _U32, _POINTER, _POINTER, _U32, _POINTER),
    "kernel_restore": (
        *(_INT, _U32, _U32, _U32, _POINTER, _POINTER, _U32, _POINTER),
        *(_POINTER, _U64, _POINTER, _U64, _U32),
    ),
}
"""The functions of native/kernel.h."""


def declare(functions: ctypes.CDLL) -> None:
    """Tell ctypes the types of the library's functions. Raises `AttributeError` when one is missing."""
    for name, arguments in _ARGUMENTS.items():
        function = getattr(functions, name)
        function.argtypes = list(arguments)
        function.restype = _INT


class CompiledKernel:
    """One path of the library. Threads may share it."""

    def __init__(self, functions: ctypes.CDLL, name: str) -> None:
        """Build the path's tables, about a millisecond; `functions` are declared, and this processor can run it."""
        self._functions = functions
        self._name = name
        self._path = PATHS.index(name)
        self._call("kernel_prepare")

    @property
    def name(self) -> str:
        """What P2PNODE_KERNEL calls it."""
        return self._name

    def encode_rows(self, shape: Shape, data: Octets, top: Octets, rows: range) -> None:
        """Fill rows of the expanded matrix."""
        _check_array(top, (shape.rows, shape.n, shape.symbol_bytes), is_output=True)
        _check_array(data, (len(data),))
        _check(len(data) <= shape.matrix_bytes, f"{len(data)} bytes for a matrix of {shape.matrix_bytes}")
        _check_range(rows, shape.rows)
        numbers = _shape_of(shape, page=1, pages=shape.n)
        self._call("kernel_encode_rows", numbers, _at(data), len(data), _at(top), rows.start, rows.stop)

    def encode_columns(self, shape: Shape, buffers: EncodeBuffers, pages: range) -> None:
        """Fill and hash columns of the expanded matrix."""
        n, page, count = shape.n, buffers.page_columns, buffers.pages
        _check_array(buffers.top, (shape.rows, n, shape.symbol_bytes))
        if buffers.bottom is not None:
            _check_array(buffers.bottom, (n - shape.rows, shape.columns, shape.symbol_bytes), is_output=True)
        _check(page > 0 and page & (page - 1) == 0 and count == -(-n // page) > 1, f"{count} pages of {page} columns")
        _check_array(buffers.row_nodes, (n, count, HASH_BYTES), is_output=True)
        _check_array(buffers.column_roots, (n, HASH_BYTES), is_output=True)
        _check_range(pages, count)
        self._call(
            "kernel_encode_columns",
            _shape_of(shape, page=page, pages=count),
            *(_at(buffers.top), None if buffers.bottom is None else _at(buffers.bottom)),
            *(_at(buffers.row_nodes), _at(buffers.column_roots)),
            *(pages.start, pages.stop),
        )

    def fold(self, nodes: Octets) -> Octets:
        """Return roots."""
        lists, count = nodes.shape[:2]
        _check_array(nodes, (lists, count, HASH_BYTES), is_output=True)
        _check(lists <= SHARDS_MAX and 1 <= count <= SHARDS_MAX, f"{lists} lists of {count} nodes")
        roots = np.empty((lists, HASH_BYTES), dtype=np.uint8)
        self._call("kernel_fold", _at(nodes), lists, count, _at(roots))
        return roots

    def sliver_hashes(self, code: Code, slivers: Octets) -> Octets:
        """Return the hashes of slivers, which may stand apart from each other."""
        count, symbols, symbol_bytes = slivers.shape
        _check_code(code, symbol_bytes)
        _check(symbols == code.originals and count <= SHARDS_MAX, f"{count} slivers of {symbols} symbols for {code}")
        _check_strides(slivers, (None, symbol_bytes, 1))
        hashes = np.empty((count, HASH_BYTES), dtype=np.uint8)
        self._call(
            "kernel_sliver_roots",
            *(code.originals + code.recovery, code.originals, symbol_bytes),
            *(_at(slivers), slivers.strides[0], count, _at(hashes)),
        )
        return hashes

    def expand(self, code: Code, sliver: Octets) -> ExpandedSliver:
        """Extend and hash one sliver."""
        symbol_bytes = sliver.shape[1]
        _check_code(code, symbol_bytes)
        _check_array(sliver, (code.originals, symbol_bytes))
        n = code.originals + code.recovery
        recovery = np.empty((code.recovery, symbol_bytes), dtype=np.uint8)
        nodes = np.empty((node_count(n), HASH_BYTES), dtype=np.uint8)
        self._call("kernel_expand", n, code.originals, symbol_bytes, _at(sliver), _at(recovery), _at(nodes))
        return ExpandedSliver(recovery, nodes)

    def merkle_root(self, leaves: Octets) -> bytes:
        """Return a root."""
        count, leaf_bytes = leaves.shape
        _check_array(leaves, (count, leaf_bytes))
        is_tree = 1 <= count <= SHARDS_MAX and 1 <= leaf_bytes <= SYMBOL_BYTES_MAX
        _check(is_tree, f"{count} leaves of {leaf_bytes} bytes")
        nodes = np.empty((count, HASH_BYTES), dtype=np.uint8)
        root = np.empty(HASH_BYTES, dtype=np.uint8)
        self._call("kernel_merkle_root", _at(leaves), leaf_bytes, count, _at(nodes), _at(root))
        return root.tobytes()

    def follow_paths(
        self, leaves: Sequence[Buffer], siblings: Sequence[bytes], *, index: int, height: int
    ) -> list[bytes]:
        """Return where proofs end."""
        _check(len(leaves) == len(siblings), f"{len(leaves)} leaves with {len(siblings)} proofs")
        _check(0 <= height <= (SHARDS_MAX - 1).bit_length(), f"proofs of {height} siblings")
        _check(0 <= index < 1 << height, f"index {index} of a tree of height {height}")
        _check(all(len(proof) == height * HASH_BYTES for proof in siblings), f"a proof that has not {height} siblings")
        leaf_bytes = len(leaves[0]) if leaves else 0
        _check(leaf_bytes <= SYMBOL_BYTES_MAX, f"leaves of {leaf_bytes} bytes")
        _check(all(len(leaf) == leaf_bytes for leaf in leaves), "leaves of different lengths")
        ends: list[bytes] = []
        for start in range(0, len(leaves), SHARDS_MAX):
            leaf_arrays = [np.frombuffer(leaf, dtype=np.uint8) for leaf in leaves[start : start + SHARDS_MAX]]
            proof_arrays = [np.frombuffer(proof, dtype=np.uint8) for proof in siblings[start : start + SHARDS_MAX]]
            roots = np.empty((len(leaf_arrays), HASH_BYTES), dtype=np.uint8)
            self._call(
                "kernel_follow_paths",
                *(_pointers(leaf_arrays), leaf_bytes, _pointers(proof_arrays)),
                *(height, index, len(leaf_arrays), _at(roots)),
            )
            ends += [root.tobytes() for root in roots]
        return ends

    def locate(self, code: Code, *, received: Sequence[int], wanted: Sequence[int]) -> Pattern:
        """Prepare restoring: the factors, which depend on the positions only."""
        n = code.originals + code.recovery
        _check_code(code, 2)
        _check(len(received) == code.originals, f"{len(received)} received symbols for {code}")
        _check(all(0 <= position < n for position in received), f"a received position that is not below {n}")
        _check(all(0 <= each < code.originals for each in wanted), f"a wanted original not below {code.originals}")
        _check(len({*received, *wanted}) == len(received) + len(wanted), "a position twice")
        memory = np.empty((len(received) + len(wanted)) * _FACTOR_BYTES + _ALIGNMENT, dtype=np.uint8)
        start = -_at(memory) % _ALIGNMENT
        factors = memory[start : start + (len(received) + len(wanted)) * _FACTOR_BYTES]
        self._call(
            "kernel_locate",
            *(code.originals, code.recovery, _positions(received), _positions(wanted), len(wanted), _at(factors)),
        )
        return Pattern(code, tuple(received), tuple(wanted), factors)

    def restore(self, pattern: Pattern, inputs: Sequence[Octets], outputs: Sequence[Octets]) -> None:
        """Restore symbols of many codewords."""
        code = pattern.code
        _check(len(inputs) == len(pattern.received), f"{len(inputs)} inputs for {len(pattern.received)} positions")
        _check(len(outputs) == len(pattern.wanted), f"{len(outputs)} outputs for {len(pattern.wanted)} positions")
        words, symbol_bytes = inputs[0].shape
        _check_code(code, symbol_bytes)
        _check(words <= SHARDS_MAX, f"{words} codewords")
        for array in (*inputs, *outputs):
            _check(array.shape == (words, symbol_bytes), f"{array.shape} beside {inputs[0].shape}")
        for array in inputs:
            _check_strides(array, (inputs[0].strides[0], 1))
        for array in outputs:
            _check_strides(array, (outputs[0].strides[0], 1))
            _check(array.flags.writeable, "an output that cannot be written")
        self._call(
            "kernel_restore",
            *(code.originals, code.recovery, symbol_bytes, _positions(pattern.received), _positions(pattern.wanted)),
            *(len(pattern.wanted), _at(pattern.factors)),
            *(_pointers(inputs), inputs[0].strides[0], _pointers(outputs), outputs[0].strides[0] if outputs else 0),
            words,
        )

    def _call(self, name: str, *arguments: Any) -> None:  # noqa: ANN401 - the declared types are ctypes' own
        status = getattr(self._functions, name)(self._path, *arguments)
        if status == _NO_MEMORY:
            raise MemoryError
        assert status == 0, f"{name} refused what was checked: status {status}"


def _shape_of(shape: Shape, *, page: int, pages: int) -> Any:  # noqa: ANN401 - the type of byref is private
    _check_code(Code(shape.rows, shape.n - shape.rows), shape.symbol_bytes)
    return ctypes.byref(_Shape(shape.n, shape.rows, shape.columns, shape.symbol_bytes, page, pages))


def _at(array: Octets) -> int:
    address: int = array.__array_interface__["data"][0]  # `ctypes.data` makes three objects on the way.
    return address


def _pointers(arrays: Sequence[Octets]) -> ctypes.Array[ctypes.c_void_p]:
    return (ctypes.c_void_p * len(arrays))(*(_at(array) for array in arrays))


def _positions(positions: Sequence[int]) -> ctypes.Array[ctypes.c_uint32]:
    return (ctypes.c_uint32 * len(positions))(*positions)


def _check(is_right: bool, message: str) -> None:  # noqa: FBT001 - the claim itself
    """Raise `KernelInputError` unless a claim about the input holds."""
    if not is_right:
        raise KernelInputError(message)


def _check_code(code: Code, symbol_bytes: int) -> None:
    is_right = code.originals >= 1 and code.recovery >= 1 and code.originals + code.recovery <= SHARDS_MAX
    _check(is_right, f"{code} is no code for at most {SHARDS_MAX} shards")
    is_right = 2 <= symbol_bytes <= SYMBOL_BYTES_MAX and symbol_bytes % 2 == 0  # noqa: PLR2004 - one element
    _check(is_right, f"symbols of {symbol_bytes} bytes")


def _check_range(part: range, count: int) -> None:
    _check(part.step == 1 and 0 <= part.start <= part.stop <= count, f"{part} of {count}")


def _check_array(array: Octets, shape: tuple[int, ...], *, is_output: bool = False) -> None:
    _check(array.dtype == np.uint8 and array.shape == shape, f"an array {array.dtype}{array.shape}, not {shape}")
    _check(array.flags.c_contiguous, "an array that is not in one piece")
    _check(array.flags.writeable or not is_output, "an output that cannot be written")


def _check_strides(array: Octets, strides: tuple[int | None, ...]) -> None:
    # One call for each of up to a thousand arrays: what the messages say is put together only when it is wanted.
    if array.dtype != np.uint8:
        raise KernelInputError(f"an array of {array.dtype}")
    for length, actual, expected in zip(array.shape, array.strides, strides, strict=True):
        if not (length <= 1 or actual == expected or (expected is None and actual >= 0)):
            raise KernelInputError(f"strides {array.strides} where {strides} are needed")
