"""Proofs that a blob is inconsistent: that its writer committed to slivers which are not one encoding (spec section 5).

Such a proof names one sliver and carries exactly as many symbols of it as decoding needs, each proven against the hash
of the sliver across. They decode to a sliver whose hash is not the one in the metadata. An honest encoding has no such
symbols, whoever collects them, so the proof convicts by itself and anyone can check it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from p2pnode.coding.decoder import choose_slivers, message_matrix
from p2pnode.coding.encoder import EncodedBlob, encode_padded
from p2pnode.coding.errors import CodingError, NotInconsistentError
from p2pnode.coding.metadata import BlobMetadata
from p2pnode.coding.recovery import SymbolProof, sliver_of_symbols, symbol_with_proof
from p2pnode.coding.shape import across
from p2pnode.coding.sliver import Sliver, sliver_hash, verify_sliver
from wire.ids import Axis


@dataclass(frozen=True, slots=True)
class InconsistencyProof:
    """A claim that the symbols of this sliver contradict its hash. Unchecked until `verify_inconsistency`."""

    axis: Axis
    index: int
    symbols: tuple[SymbolProof, ...]


def prove_inconsistency(
    metadata: BlobMetadata, axis: Axis, index: int, symbols: Sequence[SymbolProof]
) -> InconsistencyProof:
    """Return the proof that lies in the symbols for which `recover_sliver` raised `InconsistentBlobError`.

    Raises `NotInconsistentError` when they convict nobody.
    """
    needed = sorted(symbols, key=_source_index)[: metadata.shape.symbols_of(axis)]
    proof = InconsistencyProof(axis, index, tuple(needed))
    verify_inconsistency(metadata, proof)
    return proof


def find_inconsistency(metadata: BlobMetadata, slivers: Sequence[Sliver]) -> InconsistencyProof:
    """Return a proof from the slivers for which `decode` raised `InconsistentBlobError`.

    They are enough whenever there is a proof at all. When a sliver across does not match what they decode to, they have
    its symbols. When all of those match, they are verified slivers too, and have the symbols of the one that does not.

    Raises `NotInconsistentError` when all hashes are right, so that only padding that is not zero can be wrong; besides
    what `decode` raises for slivers that it cannot use.
    """
    axis, chosen = choose_slivers(metadata, slivers)
    matrix = message_matrix(metadata, chosen).data.cast("B")
    actual = encode_padded(matrix, length=metadata.length, n=metadata.n)
    index = _first_difference(metadata, actual, across(axis))
    if index is not None:
        return prove_inconsistency(
            metadata, across(axis), index, [symbol_with_proof(metadata, sliver, index) for sliver in chosen]
        )
    index = _first_difference(metadata, actual, axis)
    if index is None:
        message = f"the slivers of blob {metadata.blob_id.text()} are one encoding"
        raise NotInconsistentError(message)
    others = [
        verify_sliver(metadata, across(axis), source, actual.sliver(across(axis), source).data)
        for source in range(metadata.shape.symbols_of(axis))
    ]
    return prove_inconsistency(metadata, axis, index, [symbol_with_proof(metadata, sliver, index) for sliver in others])


def verify_inconsistency(metadata: BlobMetadata, proof: InconsistencyProof) -> None:
    """Check a proof. Raises `NotInconsistentError`, and nothing else, when it does not convict."""
    name = f"{proof.axis.name.lower()} sliver {proof.index} of blob {metadata.blob_id.text()}"
    needed = metadata.shape.symbols_of(proof.axis)
    if len(proof.symbols) != needed:
        message = f"{len(proof.symbols)} symbols of {name}, exactly {needed} are needed"
        raise NotInconsistentError(message)
    try:
        data = sliver_of_symbols(metadata, proof.axis, proof.index, proof.symbols)
    except CodingError as error:
        message = f"a bad proof against {name}: {error}"
        raise NotInconsistentError(message) from error
    if sliver_hash(metadata.shape, proof.axis, data) == metadata.hash_of(proof.axis, proof.index):
        message = f"the symbols decode to {name}, as its metadata says"
        raise NotInconsistentError(message)


def _source_index(symbol: SymbolProof) -> int:
    return symbol.source_index


def _first_difference(metadata: BlobMetadata, actual: EncodedBlob, axis: Axis) -> int | None:
    """Return the first sliver of this axis whose hash in the metadata is not that of the actual encoding."""
    for index in range(metadata.n):
        if metadata.hash_of(axis, index) != actual.metadata.hash_of(axis, index):
            return index
    return None
