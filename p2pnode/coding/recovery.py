"""Rebuilding one sliver from one symbol of each of many others (spec section 5).

Each primary crosses each secondary in one symbol. So a lost sliver is a row of symbols that its neighbours across hold,
or can compute; and each symbol is provable against the hash of the sliver that it came from. Rebuilding a pair moves
about as many bytes as were lost, which is what the second dimension of the code is for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from crypto.hashing import HASH_BYTES, Buffer
from crypto.merkle import BadProofError, MerkleProof, MerkleTree, verify_proof
from p2pnode.coding.errors import (
    BadSymbolError,
    DuplicateSymbolError,
    InconsistentBlobError,
    SliverMismatchError,
    TooFewSymbolsError,
)
from p2pnode.coding.field import Octets
from p2pnode.coding.kernel import current
from p2pnode.coding.metadata import BlobMetadata
from p2pnode.coding.shape import across
from p2pnode.coding.sliver import Sliver, code_of, symbols_of, verify_sliver
from wire.ids import Axis


@dataclass(frozen=True, slots=True)
class SymbolProof:
    """A claim: symbol `target_index` of the source sliver is `data`. Unchecked until `verify_symbol`.

    The target is the sliver of the other axis with that index.
    """

    source_axis: Axis
    source_index: int
    target_index: int
    data: bytes = field(repr=False)
    proof: MerkleProof = field(repr=False)


def symbols_with_proofs(metadata: BlobMetadata, sliver: Sliver, indices: Sequence[int]) -> tuple[SymbolProof, ...]:
    """Return symbols of one sliver, extended to n, with their proofs; the work is nearly the same for one as for many.

    Raises `SliverMismatchError` when the sliver is of another blob, or an index is not below n.
    """
    if sliver.blob_id != metadata.blob_id:
        message = f"a sliver of blob {sliver.blob_id.text()}, not of {metadata.blob_id.text()}"
        raise SliverMismatchError(message)
    return claimed_symbols(metadata, sliver.axis, sliver.index, sliver.data, indices)


def claimed_symbols(
    metadata: BlobMetadata, axis: Axis, sliver: int, data: Buffer, indices: Sequence[int]
) -> tuple[SymbolProof, ...]:
    """Return symbols of what is said to be a sliver, with proofs that are good only if it is: nothing is checked.

    Raises `SliverMismatchError` when the length is wrong, or an index is not below n.
    """
    symbols, tree = _extended(metadata, axis, sliver, data, indices)
    return tuple(
        SymbolProof(axis, sliver, index, symbol, tree.prove(index))
        for index, symbol in zip(indices, symbols, strict=True)
    )


def jointly_claimed_symbols(
    metadata: BlobMetadata, axis: Axis, sliver: int, data: Buffer, indices: Sequence[int]
) -> tuple[tuple[bytes, ...], MerkleProof]:
    """Return symbols as `claimed_symbols` does, with one proof for all of them; raises as that does."""
    symbols, tree = _extended(metadata, axis, sliver, data, indices)
    return symbols, tree.prove_leaves(indices)


def _extended(
    metadata: BlobMetadata, axis: Axis, sliver: int, data: Buffer, indices: Sequence[int]
) -> tuple[tuple[bytes, ...], MerkleTree]:
    """Return symbols of a sliver that is extended to n, and the tree over all of them."""
    shape = metadata.shape
    for index in indices:
        shape.check_index(across(axis), index)
    if len(data) != shape.sliver_bytes(axis):
        message = f"{axis.name.lower()} sliver {sliver} has {shape.sliver_bytes(axis)} bytes, got {len(data)}"
        raise SliverMismatchError(message)
    own = symbols_of(shape, data)
    expanded = current().expand(code_of(shape, axis), own)
    tree = _tree(expanded.nodes, leaf_count=metadata.n)
    symbols = [own[index] if index < len(own) else expanded.recovery[index - len(own)] for index in indices]
    return tuple(symbol.tobytes() for symbol in symbols), tree


def symbol_with_proof(metadata: BlobMetadata, sliver: Sliver, index: int) -> SymbolProof:
    """Return one symbol of a sliver: the one that the sliver `index` of the other axis needs.

    Raises as `symbols_with_proofs` does.
    """
    return symbols_with_proofs(metadata, sliver, (index,))[0]


def verify_symbol(metadata: BlobMetadata, symbol: SymbolProof) -> None:
    """Check a symbol that came from outside. Raises `BadSymbolError`."""
    target = f"{across(symbol.source_axis).name.lower()} sliver {symbol.target_index}"
    name = f"symbol of {symbol.source_axis.name.lower()} sliver {symbol.source_index} for {target}"
    if len(symbol.data) != metadata.symbol_bytes:
        message = f"{name}: {len(symbol.data)} bytes, not {metadata.symbol_bytes}"
        raise BadSymbolError(message)
    try:
        source_hash = metadata.hash_of(symbol.source_axis, symbol.source_index)
        verify_proof(source_hash, symbol.data, index=symbol.target_index, leaf_count=metadata.n, proof=symbol.proof)
    except (SliverMismatchError, BadProofError) as error:
        message = f"{name} of blob {metadata.blob_id.text()}: {error}"
        raise BadSymbolError(message) from error


def recover_sliver(metadata: BlobMetadata, axis: Axis, index: int, symbols: Sequence[SymbolProof]) -> Sliver:
    """Return a lost sliver from S symbols (primary) or P symbols (secondary); more are checked but not used.

    Raises `SliverMismatchError` when there is no such sliver, `BadSymbolError`, `DuplicateSymbolError`,
    `TooFewSymbolsError`, and `InconsistentBlobError` when valid symbols give a sliver that the metadata denies.
    """
    data = sliver_of_symbols(metadata, axis, index, symbols)
    try:
        return verify_sliver(metadata, axis, index, data)
    except SliverMismatchError as error:
        message = f"valid symbols contradict the metadata: {error}"
        raise InconsistentBlobError(message) from error


def sliver_of_symbols(metadata: BlobMetadata, axis: Axis, index: int, symbols: Sequence[SymbolProof]) -> bytes:
    """Return the bytes that verified symbols decode to, not compared with the metadata.

    Raises as `recover_sliver` does, but never `InconsistentBlobError`.
    """
    shape = metadata.shape
    shape.check_index(axis, index)
    for symbol in symbols:
        _check_target(symbol, axis, index)
    _verify_symbols(metadata, symbols, index)
    by_source: dict[int, SymbolProof] = {}
    for symbol in symbols:
        if symbol.source_index in by_source:
            message = f"two symbols of {symbol.source_axis.name.lower()} sliver {symbol.source_index}"
            raise DuplicateSymbolError(message)
        by_source[symbol.source_index] = symbol
    needed = shape.symbols_of(axis)
    if len(by_source) < needed:
        message = f"{len(by_source)} symbols for {axis.name.lower()} sliver {index}, {needed} are needed"
        raise TooFewSymbolsError(message)
    positions = sorted(by_source)[:needed]  # The first ones are part of the sliver as they are.
    missing = sorted(set(range(needed)) - set(positions))
    sliver = np.empty((needed, shape.symbol_bytes), dtype=np.uint8)
    received = [np.frombuffer(by_source[position].data, dtype=np.uint8) for position in positions]
    for position, octets in zip(positions, received, strict=True):
        if position < needed:
            sliver[position] = octets
    if missing:
        pattern = current().locate(code_of(shape, axis), received=positions, wanted=missing)
        outputs = [sliver[position : position + 1] for position in missing]
        current().restore(pattern, [octets[np.newaxis] for octets in received], outputs)
    return sliver.tobytes()


def _verify_symbols(metadata: BlobMetadata, symbols: Sequence[SymbolProof], index: int) -> None:
    """Check all symbols for one target at once. Raises `BadSymbolError` for the first that is wrong."""
    height, symbol_bytes = (metadata.n - 1).bit_length(), metadata.symbol_bytes
    for symbol in symbols:
        lengths = set(map(len, symbol.proof.siblings))
        is_formed = len(symbol.data) == symbol_bytes and 0 <= symbol.source_index < metadata.n
        if not is_formed or len(symbol.proof.siblings) != height or lengths != {HASH_BYTES}:
            verify_symbol(metadata, symbol)
    siblings = [b"".join(symbol.proof.siblings) for symbol in symbols]
    ends = current().follow_paths([symbol.data for symbol in symbols], siblings, index=index, height=height)
    for symbol, end in zip(symbols, ends, strict=True):
        if end != metadata.hash_of(symbol.source_axis, symbol.source_index):
            verify_symbol(metadata, symbol)


def _tree(nodes: Octets, *, leaf_count: int) -> MerkleTree:
    """Return the tree whose levels follow one another in these nodes."""
    levels: list[tuple[bytes, ...]] = []
    start, count = 0, leaf_count
    while start < len(nodes):
        levels.append(tuple(node.tobytes() for node in nodes[start : start + count]))
        start, count = start + count, -(-count // 2)
    return MerkleTree(tuple(levels))


def _check_target(symbol: SymbolProof, axis: Axis, index: int) -> None:
    """Raise `BadSymbolError` when the symbol is for another sliver than the one that is recovered."""
    if symbol.source_axis is not across(axis) or symbol.target_index != index:
        target = f"{across(symbol.source_axis).name.lower()} sliver {symbol.target_index}"
        message = f"a symbol for {target} came for {axis.name.lower()} sliver {index}"
        raise BadSymbolError(message)
