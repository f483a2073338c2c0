"""The symbols of a pair that is rebuilt: what is asked of whom, what is checked of them, and the pair that they give.

The primary is rebuilt from S symbols, one of each of S secondaries. It then has one symbol of its own secondary, where
the two cross; so that takes P - 1 further ones only. Each symbol is checked by itself when it comes: who sent a wrong
one is known, and another source takes its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from crypto.keys import SigningKey
from crypto.merkle import MerkleProof
from crypto.signing import BadSignatureError
from p2pnode import bft
from p2pnode.coding import (
    BadSymbolError,
    BlobMetadata,
    InconsistentBlobError,
    Sliver,
    SymbolProof,
    claimed_symbols,
    pair_of_shard,
    primary_bytes,
    prove_inconsistency,
    recover_sliver,
    secondary_bytes,
    symbol_with_proof,
    verify_symbol,
)
from p2pnode.errors import PeerFaultError
from p2pnode.protocols.inconsistency import Contradiction, contradiction_of
from wire import limits
from wire.errors import WireError
from wire.ids import Axis, BlobId, Digest, PairIndex, ShardIndex
from wire.records import Envelope
from wire.repair import RecoveredSymbol, RecoveredSymbols, RepairIntent, WantedSymbol
from wire.signed import Signed, open_envelope, sign_record


def make_intent(
    key: SigningKey, page: Digest, blob_ids: Sequence[BlobId], shard: ShardIndex, *, network: str, time: int
) -> Signed[RepairIntent]:
    """Sign that we are about to rebuild a shard of some blobs of a page."""
    return sign_record(
        RepairIntent(page=page, blob_ids=tuple(blob_ids), shard=shard, time=time), key=key, network=network
    )


def open_intent(envelope: Envelope, *, network: str, wall: float) -> Signed[RepairIntent]:
    """Check an intent by itself, and that it is of now. Raises `PeerFaultError`."""
    try:
        signed = open_envelope(envelope, RepairIntent, network=network)
    except (WireError, BadSignatureError) as error:
        message = f"an intent that cannot count: {error}"
        raise PeerFaultError(message) from error
    if abs(signed.record.time - wall) > limits.CLOCK_SKEW_SECONDS:
        message = f"an intent of {signed.signer_peer} that is not of now"
        raise PeerFaultError(message)
    if len(set(signed.record.blob_ids)) != len(signed.record.blob_ids):
        message = f"an intent of {signed.signer_peer} that names a blob twice"
        raise PeerFaultError(message)
    return signed


def index_for(axis: Axis, target: PairIndex, n: int) -> int:
    """Return which symbol of a sliver on this axis a pair needs: its primary lies across secondaries, and so on."""
    return target if axis is Axis.SECONDARY else n - 1 - target


def sliver_of_shard(blob_id: BlobId, shard: ShardIndex, axis: Axis, n: int) -> int:
    """Return the index of a shard's sliver on an axis."""
    pair = pair_of_shard(blob_id, shard, n)
    return pair if axis is Axis.PRIMARY else n - 1 - pair


def symbols_of_pair(n: int) -> int:
    """Return how many symbols rebuild a pair: S + P, less the one where its own slivers cross."""
    return bft.secondary_source(n) + bft.primary_source(n) - 1


def bytes_of_pair(length: int, n: int) -> int:
    """Return the length of a pair of a blob of `length` bytes."""
    return primary_bytes(length, n=n) + secondary_bytes(length, n=n)


@dataclass(slots=True)
class PairRecovery:
    """One pair on its way back."""

    metadata: BlobMetadata
    shard: ShardIndex
    bad: set[tuple[ShardIndex, Axis]] = field(default_factory=set)
    """Sources that gave nothing or something wrong."""
    _symbols: dict[tuple[ShardIndex, Axis], SymbolProof] = field(default_factory=dict)

    @property
    def target(self) -> PairIndex:
        """The pair that is rebuilt."""
        return pair_of_shard(self.metadata.blob_id, self.shard, self.metadata.n)

    def _count(self, axis: Axis) -> int:
        return sum(each is axis for _, each in self._symbols)

    def _lacking(self) -> Iterable[tuple[Axis, int]]:
        n = self.metadata.n
        yield Axis.SECONDARY, bft.secondary_source(n) - self._count(Axis.SECONDARY)
        yield Axis.PRIMARY, bft.primary_source(n) - 1 - self._count(Axis.PRIMARY)

    def wanted(self, sources: Sequence[ShardIndex]) -> list[tuple[ShardIndex, Axis]] | None:
        """Return what to ask of these sources, the best first; None when they are too few.

        One axis is asked from the front, the other from the back, so that all of them share the work.
        """
        found: list[tuple[ShardIndex, Axis]] = []
        for axis, count in self._lacking():
            order = sources if axis is Axis.SECONDARY else sources[::-1]
            left = [each for each in order if (each, axis) not in self.bad and (each, axis) not in self._symbols]
            if len(left) < count:
                return None
            found += [(each, axis) for each in left[: max(0, count)]]
        return found

    def take(self, shard: ShardIndex, symbol: SymbolProof) -> None:
        """Take a symbol of a source that was verified."""
        self._symbols[shard, symbol.source_axis] = symbol

    def rebuild(self) -> tuple[Sliver, Sliver]:
        """Return primary and secondary. Decodes and hashes: call it in a worker.

        Raises `InconsistentBlobError` when verified symbols contradict the metadata.
        """
        n, target = self.metadata.n, self.target
        primary = recover_sliver(self.metadata, Axis.PRIMARY, target, self._of(Axis.SECONDARY))
        crossing = symbol_with_proof(self.metadata, primary, n - 1 - target)
        secondary = recover_sliver(self.metadata, Axis.SECONDARY, n - 1 - target, [crossing, *self._of(Axis.PRIMARY)])
        return primary, secondary

    def contradiction(self) -> Contradiction:
        """Return the proof that lies in the symbols for which `rebuild` has raised; call it in a worker too."""
        n, target = self.metadata.n, self.target
        axis, index, symbols = Axis.PRIMARY, int(target), self._of(Axis.SECONDARY)
        try:
            primary = recover_sliver(self.metadata, axis, index, symbols)
        except InconsistentBlobError:
            pass
        else:
            crossing = symbol_with_proof(self.metadata, primary, n - 1 - target)
            axis, index, symbols = Axis.SECONDARY, n - 1 - target, [crossing, *self._of(Axis.PRIMARY)]
        return contradiction_of(self.metadata, prove_inconsistency(self.metadata, axis, index, symbols))

    def _of(self, axis: Axis) -> list[SymbolProof]:
        return [symbol for (_, each), symbol in self._symbols.items() if each is axis]


# ------------------------------------------------------------------------------------------- one request


@dataclass(frozen=True, slots=True)
class Ask:
    """One symbol that is asked of one holder: for which of the pairs under way, of which of its shards."""

    blob: int
    shard: ShardIndex
    axis: Axis


def requests_of(asks: Sequence[Ask], symbol_bytes: Callable[[int], int]) -> list[list[Ask]]:
    """Cut what is asked of one holder into requests that are not too long; `symbol_bytes` tells a blob's symbol."""
    requests: list[list[Ask]] = []
    room = count = 0
    for each in asks:
        size = symbol_bytes(each.blob)
        if size > room or count == limits.RECOVERY_SYMBOLS_MAX:
            requests.append([])
            room, count = limits.RECOVERY_BYTES_MAX, 0
        requests[-1].append(each)
        room, count = room - size, count + 1
    return requests


def wanted_of(asks: Sequence[Ask], recoveries: Sequence[PairRecovery]) -> tuple[WantedSymbol, ...]:
    """Return these questions as they travel."""
    return tuple(
        WantedSymbol(
            blob=each.blob,
            axis=each.axis,
            index=sliver_of_shard(
                recoveries[each.blob].metadata.blob_id, each.shard, each.axis, recoveries[each.blob].metadata.n
            ),
        )
        for each in asks
    )


def read_answer(
    answer: RecoveredSymbols, payload: bytes, asks: Sequence[Ask], recoveries: Sequence[PairRecovery]
) -> tuple[list[tuple[Ask, SymbolProof]], list[Ask]]:
    """Check an answer symbol by symbol: returns those that are good, and the questions whose symbol is wrong.

    What is in neither was not given. Hashes: call it in a worker. Raises `PeerFaultError` for an answer that does not
    fit the question.
    """
    positions = [each.wanted for each in answer.symbols]
    if sorted(set(positions)) != positions or any(at >= len(asks) for at in positions):
        message = "symbols that were not asked for, or not in their order"
        raise PeerFaultError(message)
    sizes = [recoveries[asks[at].blob].metadata.symbol_bytes for at in positions]
    if sum(sizes) != len(payload):
        message = f"{len(payload)} bytes of symbols, {sum(sizes)} belong to what is named"
        raise PeerFaultError(message)
    good: list[tuple[Ask, SymbolProof]] = []
    wrong: list[Ask] = []
    start = 0
    for each, size in zip(answer.symbols, sizes, strict=True):
        ask = asks[each.wanted]
        recovery = recoveries[ask.blob]
        metadata = recovery.metadata
        symbol = SymbolProof(
            source_axis=ask.axis,
            source_index=sliver_of_shard(metadata.blob_id, ask.shard, ask.axis, metadata.n),
            target_index=index_for(ask.axis, recovery.target, metadata.n),
            data=payload[start : start + size],
            proof=MerkleProof(each.path),
        )
        start += size
        try:
            verify_symbol(metadata, symbol)
        except BadSymbolError:
            wrong.append(ask)
        else:
            good.append((ask, symbol))
    return good, wrong


# ------------------------------------------------------------------------------------------- the source's side


def symbols_for(
    metadata: BlobMetadata, shard: ShardIndex, slivers: Mapping[tuple[Axis, int], bytes]
) -> dict[tuple[Axis, int], SymbolProof]:
    """Return of each of these slivers the symbol that the pair of a shard needs. Extends them: call it in a worker."""
    target = pair_of_shard(metadata.blob_id, shard, metadata.n)
    return {
        (axis, index): claimed_symbols(metadata, axis, index, data, (index_for(axis, target, metadata.n),))[0]
        for (axis, index), data in slivers.items()
    }


def make_answer(symbols: Mapping[int, SymbolProof]) -> tuple[RecoveredSymbols, list[bytes]]:
    """Return symbols by the position of their question as they travel, with the bytes that follow."""
    ordered = sorted(symbols.items())
    named = tuple(RecoveredSymbol(wanted=at, path=tuple(map(Digest, each.proof.siblings))) for at, each in ordered)
    data = [each.data for _, each in ordered]
    return RecoveredSymbols(symbols=named, symbols_bytes=sum(map(len, data))), data
