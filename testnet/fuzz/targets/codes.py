"""What peers claim of blobs: metadata, slivers, symbols with proofs, Merkle paths, and proofs of inconsistency."""

from __future__ import annotations

import random
from functools import cache

import crypto.merkle
import p2pnode.coding.consistency
import p2pnode.coding.metadata
import p2pnode.coding.recovery
import p2pnode.coding.shape
import p2pnode.coding.sliver
from crypto.merkle import BadProofError, MerkleProof, MerkleTree, verify_page, verify_proof
from p2pnode.bft import BadShardCountError
from p2pnode.coding import (
    BlobMetadata,
    CodingError,
    InconsistencyProof,
    SymbolProof,
    recover_sliver,
    symbol_with_proof,
    verify_inconsistency,
    verify_sliver,
    verify_symbol,
)
from p2pnode.coding.metadata import check_metadata
from p2pnode.protocols.store import record_of
from testnet.fuzz import honest
from testnet.fuzz.plain import NotPlainError, Tree, edited, read_plain, write_plain
from testnet.fuzz.target import Target, plain
from testnet.fuzz.targets.wire_types import FRAMING, tree_or_value
from wire import limits
from wire.codec import decode, encode
from wire.errors import WireError
from wire.ids import Axis
from wire.records import MetadataRecord

_SIZES = (0, 1, 100, 1000)
_TREE_FRAMING = "ok no input"


def targets() -> list[Target]:
    """Return the targets of this file."""
    coding = p2pnode.coding
    errors = (CodingError, BadShardCountError)
    return [
        Target(
            name="coding/metadata",
            open=plain(_metadata),
            errors=(WireError, *errors),
            seeds=lambda _rng: [encode(record_of(_blob(size))) for size in _SIZES],
            modules=(coding.metadata, coding.shape),
            mutate=tree_or_value(MetadataRecord),
            framing=FRAMING,
        ),
        Target(
            name="coding/sliver",
            open=plain(_sliver),
            errors=errors,
            seeds=lambda _rng: [_sliver_input(axis, index) for axis in Axis for index in range(honest.N)],
            modules=(coding.sliver,),
        ),
        Target(
            name="coding/symbols",
            open=plain(_symbols),
            errors=errors,
            seeds=_symbol_inputs,
            modules=(coding.recovery, coding.consistency),
            mutate=_edited_tree,
            framing=_TREE_FRAMING,
        ),
        Target(
            name="coding/merkle",
            open=plain(_merkle),
            errors=(BadProofError,),
            seeds=_merkle_inputs,
            modules=(crypto.merkle,),
            mutate=_edited_tree,
            framing=_TREE_FRAMING,
        ),
    ]


@cache
def _blob(size: int) -> BlobMetadata:
    return honest.honest_blob(size=size).encoded.metadata


def _metadata(data: bytes) -> str:
    """Metadata is one blob's, or no blob's."""
    record = decode(data, MetadataRecord, bytes_max=limits.MESSAGE_BYTES_MAX)
    blob_id = _blob(1000).blob_id
    checked = check_metadata(blob_id, n=record.n, length=record.length, pair_hashes=record.pair_hashes)
    assert record_of(checked) == record == record_of(_blob(1000))
    return "the blob's"


def _sliver_input(axis: Axis, index: int) -> bytes:
    sliver = honest.honest_blob().encoded.sliver(axis, index)
    return bytes([axis, index]) + bytes(sliver.data)


def _sliver(data: bytes) -> str:
    """No other bytes than the writer's pass for a sliver."""
    axis, index = Axis(data[0] & 1 if data else 0), int.from_bytes(data[1:2], "big", signed=True)
    verify_sliver(_blob(1000), axis, index, data[2:])
    assert data[2:] == _sliver_input(axis, index)[2:]
    return "the writer's"


def _edited_tree(rng: random.Random, data: bytes) -> bytes:
    try:
        tree = read_plain(data)
    except NotPlainError:
        return data
    for _ in range(rng.choice((1, 1, 2))):
        tree = edited(rng, tree, tree)
    return write_plain(tree)


def _symbol_inputs(_rng: random.Random) -> list[bytes]:
    """Return [axis, index, [[axis, source, target, data, [siblings]], ..]] for each sliver of a blob."""
    made = []
    blob = honest.honest_blob()
    for axis in Axis:
        across = Axis.SECONDARY if axis is Axis.PRIMARY else Axis.PRIMARY
        for index in range(honest.N):
            rows: list[Tree] = []
            for source in range(honest.N):
                proven = symbol_with_proof(_blob(1000), blob.encoded.sliver(across, source), index)
                rows.append([int(across), source, index, proven.data, list(proven.proof.siblings)])
            made.append(write_plain([int(axis), index, rows]))
    return made


def _symbols(data: bytes) -> str:
    """What is recovered is what was lost; no honest writer is convicted."""
    try:
        axis, index, symbols = _symbols_of(read_plain(data))
    except NotPlainError:
        return "no input"
    metadata = _blob(1000)
    try:
        verify_inconsistency(metadata, InconsistencyProof(axis, index, tuple(symbols)))
    except CodingError:
        pass
    else:
        raise AssertionError("an honest writer is convicted")
    for symbol in symbols[:2]:
        verify_symbol(metadata, symbol)
    recovered = recover_sliver(metadata, axis, index, symbols)
    assert bytes(recovered.data) == _sliver_input(axis, index)[2:]
    return "recovered"


def _symbols_of(tree: Tree) -> tuple[Axis, int, list[SymbolProof]]:
    match tree:
        case [int() as axis, int() as index, list() as rows] if axis in (0, 1):
            return Axis(axis), int(index), [_symbol_of(row) for row in rows[:100]]
    raise NotPlainError("no symbols")


def _symbol_of(row: Tree) -> SymbolProof:
    match row:
        case [int() as axis, int() as source, int() as target, bytes() as data, list() as siblings] if axis in (0, 1):
            return SymbolProof(Axis(axis), int(source), int(target), data, _proof_of(siblings))
    raise NotPlainError("no symbol")


def _proof_of(siblings: list[Tree]) -> MerkleProof:
    return MerkleProof(tuple(each if isinstance(each, bytes) else b"" for each in siblings))


def _merkle_inputs(_rng: random.Random) -> list[bytes]:
    """Return [root, index, height, count, [leaves], [siblings]] of single leaves and of pages."""
    made = []
    for count, height in ((1, 0), (2, 0), (5, 0), (5, 2), (300, 8), (256, 8), (1000, 8)):
        leaves = [number.to_bytes(2, "big") for number in range(count)]
        tree = MerkleTree.from_leaves(leaves)
        for index in (0, (count - 1) >> height):
            page: list[Tree] = list(leaves[index << height : (index + 1) << height])
            siblings: list[Tree] = list(tree.prove_page(index, height=height).siblings)
            made.append(write_plain([tree.root, index, height, count, page, siblings]))
    return made


def _merkle(data: bytes) -> str:
    """A proof that holds is the proof of these very leaves at this very place."""
    match _tree_of(data):
        case [bytes() as root, int() as index, int() as height, int() as count, list() as leaves, list() as siblings]:
            given = [leaf if isinstance(leaf, bytes) else b"" for leaf in leaves]
            proof = _proof_of(siblings)
            if height == 0 and given:
                verify_proof(root, given[0], index=index, leaf_count=count, proof=proof)
            else:
                # The height is our own constant, never a peer's.
                verify_page(
                    root, given, page_index=index, height=limits.GROUP_PAGE_HEIGHT, leaf_count=count, proof=proof
                )
            return f"proven {len(given)}"
        case _:
            return "no input"


def _tree_of(data: bytes) -> Tree:
    try:
        return read_plain(data)
    except NotPlainError:
        return None
