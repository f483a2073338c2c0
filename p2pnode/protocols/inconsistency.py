"""Inconsistent blobs: the proof as it travels, who is told of it, and what a holder makes of what it is told.

Rules: nobody believes anybody. A holder lets go of a blob only after it has checked the proof itself, and asks for one
only where it keeps something of the blob; who told of a blob that is as it should be is not heard for an hour. Each
holder tells the next ones in the order of ids, so that all hear of it and nobody is told by everybody. No votes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from crypto.merkle import MerkleProof
from p2pnode.coding import (
    BlobMetadata,
    CodingError,
    InconsistencyProof,
    NotInconsistentError,
    SymbolProof,
    across,
    verify_inconsistency,
)
from p2pnode.errors import InconsistentDataError, PeerFaultError
from p2pnode.protocols.store import open_metadata, record_of
from wire.ids import Axis, BlobId, Digest, PeerId
from wire.inconsistency import ContradictingSymbol, InconsistentBlob

KEPT_MAX = 32
"""Blobs that are known to be inconsistent, with their proofs of at most 2 MiB each; the earliest is forgotten, and
found out anew should it be stored again."""

WAITING_MAX = 64
"""Notices that wait to be looked into; whoever sends further ones is told that it is heard, and they are not."""

BARRED_S = 3600.0
"""How long who told of a good blob is not heard."""

BARRED_MAX = 1_024
"""Peers that are not heard; the one that was barred first is heard again."""

TOLD_MAX = 3
"""Holders that a holder tells, each of which asks for the proof and tells further ones: two may be away."""

FINDER_TELLS_MAX = 8
"""Holders that are told by who has found it."""

FOUND_MAX = 16
"""Proofs that were found here and are not dealt with yet; the next reader finds a further one again."""


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A checked proof, as it travels."""

    blob_id: BlobId
    message: InconsistentBlob
    symbols: bytes = field(repr=False)

    @property
    def error(self) -> InconsistentDataError:
        """What a reader is told."""
        sliver = f"{Axis(self.message.axis).name.lower()} sliver {self.message.index}"
        count = len(self.message.symbols)
        return InconsistentDataError(
            f"blob {self.blob_id.text()} is inconsistent, and its own hashes prove it: {count} symbols contradict"
            f" {sliver}. Its writer made it so; no node can give it back, and it is to be stored anew from the source"
        )


def contradiction_of(metadata: BlobMetadata, proof: InconsistencyProof) -> Contradiction:
    """Return a proof that was made here as it travels."""
    symbols = tuple(
        ContradictingSymbol(source=each.source_index, path=tuple(map(Digest, each.proof.siblings)))
        for each in proof.symbols
    )
    data = b"".join(each.data for each in proof.symbols)
    message = InconsistentBlob(
        metadata=record_of(metadata), axis=proof.axis, index=proof.index, symbols=symbols, symbols_bytes=len(data)
    )
    return Contradiction(metadata.blob_id, message, data)


def check_contradiction(message: InconsistentBlob, symbols: bytes, blob_id: BlobId) -> Contradiction:
    """Check a proof that came from outside, and decode for it: call it in a worker.

    Raises `PeerFaultError` when it proves nothing of this blob.
    """
    try:
        metadata = open_metadata(blob_id, message.metadata)
        verify_inconsistency(metadata, _proof_of(metadata, message, symbols))
    except CodingError as error:
        text = f"what should prove that blob {blob_id.text()} is inconsistent does not: {error}"
        raise PeerFaultError(text) from error
    return Contradiction(blob_id, message, symbols)


def _proof_of(metadata: BlobMetadata, message: InconsistentBlob, symbols: bytes) -> InconsistencyProof:
    axis, size = Axis(message.axis), metadata.symbol_bytes
    if len(symbols) != size * len(message.symbols):
        refusal = f"{len(symbols)} bytes for {len(message.symbols)} symbols of {size}"
        raise NotInconsistentError(refusal)
    claims = tuple(
        SymbolProof(
            across(axis), each.source, message.index, symbols[at * size : (at + 1) * size], MerkleProof(each.path)
        )
        for at, each in enumerate(message.symbols)
    )
    return InconsistencyProof(axis, message.index, claims)


class InconsistentBlobs:
    """What this node has checked, itself."""

    def __init__(self) -> None:
        """Nothing is known."""
        self._known: OrderedDict[BlobId, Contradiction] = OrderedDict()
        self._found: list[tuple[Contradiction, tuple[PeerId, ...]]] = []
        self.on_found: Callable[[], None] = lambda: None
        """Called when there is something to take."""

    @property
    def has_found(self) -> bool:
        """Whether there is something to take."""
        return bool(self._found)

    def __len__(self) -> int:
        """Return how many are known."""
        return len(self._known)

    def get(self, blob_id: BlobId) -> Contradiction | None:
        """Return the proof that a blob is inconsistent, None when none is known."""
        return self._known.get(blob_id)

    def add(self, contradiction: Contradiction) -> None:
        """Take a checked proof in; the earliest makes room."""
        self._known[contradiction.blob_id] = contradiction
        if len(self._known) > KEPT_MAX:
            self._known.popitem(last=False)

    def found(self, contradiction: Contradiction, holders: Iterable[PeerId]) -> None:
        """Take in a proof that was checked here; some of the blob's holders are to be told, where they are known."""
        if contradiction.blob_id in self._known:
            return
        self.add(contradiction)
        if len(self._found) < FOUND_MAX:
            self._found.append((contradiction, tuple(sorted(set(holders)))[:FINDER_TELLS_MAX]))
            self.on_found()

    def take_found(self) -> list[tuple[Contradiction, tuple[PeerId, ...]]]:
        """Return what was found since this was asked last, with those who are to be told."""
        found, self._found = self._found, []
        return found


class Notices:
    """What others say, unchecked. `now` is monotonic, in seconds."""

    def __init__(self) -> None:
        """Nobody has said anything."""
        self._waiting: OrderedDict[BlobId, PeerId] = OrderedDict()
        self._barred: OrderedDict[PeerId, float] = OrderedDict()

    def hear(self, peer_id: PeerId, blob_id: BlobId, *, now: float) -> bool:
        """Take a notice; returns whether it will be looked into."""
        if now < self._barred.get(peer_id, now) or blob_id in self._waiting or len(self._waiting) >= WAITING_MAX:
            return False
        self._waiting[blob_id] = peer_id
        return True

    def take(self) -> tuple[BlobId, PeerId] | None:
        """Return the earliest notice, which is not kept any more; None when there is none."""
        return self._waiting.popitem(last=False) if self._waiting else None

    def bar(self, peer_id: PeerId, *, now: float) -> None:
        """Take note that a peer told of a blob that is as it should be, or gave no proof."""
        self._barred.pop(peer_id, None)
        self._barred[peer_id] = now + BARRED_S
        if len(self._barred) > BARRED_MAX:
            self._barred.popitem(last=False)


def next_holders(holders: Iterable[PeerId], *, own: PeerId) -> Sequence[PeerId]:
    """Return whom of a blob's holders a holder tells: the next ones in the order of ids, in a circle."""
    others = sorted(set(holders) - {own})
    behind = [each for each in others if each > own]
    return [*behind, *others[: len(others) - len(behind)]][:TOLD_MAX]
