"""Inconsistent blobs: a proof convinces whoever checks it, nothing else does, and false notices cost little."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from p2pnode import bft
from p2pnode.coding import BlobMetadata, InconsistencyProof, InconsistentBlobError, encode, shard_of_pair, verify_sliver
from p2pnode.coding.recovery import symbol_with_proof
from p2pnode.errors import InconsistentDataError, PeerFaultError
from p2pnode.protocols import inconsistency as module
from p2pnode.protocols.inconsistency import (
    BARRED_S,
    FINDER_TELLS_MAX,
    FOUND_MAX,
    TOLD_MAX,
    WAITING_MAX,
    Contradiction,
    InconsistentBlobs,
    Notices,
    check_contradiction,
    next_holders,
)
from p2pnode.protocols.read import why_unreadable
from p2pnode.protocols.repair.exchange import PairRecovery
from testnet.sim.habits.crooked_blobs import CrookedBlob, crooked_blob
from tests import factories
from tests.factories import peer_id
from wire.ids import Axis, Digest, PairIndex
from wire.messages import payload_bytes

N = 7


def crooked_of(rng: random.Random, *, bad_slivers: int = N) -> CrookedBlob:
    """Return a blob that no honest writer makes."""
    return crooked_blob(rng.randbytes(3_000), N, rng, bad_slivers=bad_slivers)


def proof_against(crooked: CrookedBlob) -> Contradiction:
    """Return the proof that a reader finds."""
    metadata = crooked.metadata
    slivers = [
        verify_sliver(metadata, Axis.PRIMARY, index, crooked.slivers[Axis.PRIMARY, index])
        for index in range(metadata.n - bft.primary_source(metadata.n), metadata.n)
    ]
    _, found = why_unreadable(metadata, slivers, InconsistentBlobError("it does not decode"))
    assert found is not None
    return found


def a_proof(number: int) -> Contradiction:
    """Return something that stands for a checked proof against blob `number`."""
    message = proof_against(crooked_of(random.Random(1))).message
    return Contradiction(factories.blob_id(number), message, b"")


def test_a_proof_convinces_whoever_checks_it_and_says_what_to_do(rng: random.Random) -> None:
    crooked = crooked_of(rng)
    found = proof_against(crooked)
    again = check_contradiction(found.message, found.symbols, crooked.metadata.blob_id)
    assert again == found
    assert payload_bytes(found.message) == len(found.symbols)
    assert isinstance(again.error, InconsistentDataError)
    assert "to be stored anew from the source" in str(again.error)


def refuse(found: Contradiction, metadata: BlobMetadata, match: str) -> None:
    """Check that nobody is convinced."""
    with pytest.raises(PeerFaultError, match=match):
        check_contradiction(found.message, found.symbols, metadata.blob_id)


def test_nothing_that_was_changed_convinces_anybody(rng: random.Random) -> None:
    crooked = crooked_of(rng)
    found = proof_against(crooked)
    message, symbols = found.message, found.symbols
    first, *rest = message.symbols
    flipped = bytes([symbols[0] ^ 1]) + symbols[1:]
    refuse(replace(found, symbols=flipped), crooked.metadata, "does not")
    refuse(replace(found, symbols=symbols[2:]), crooked.metadata, "bytes for")
    for changed in (
        replace(message, symbols=(first, *rest[:-1])),
        replace(message, symbols=(first, first, *rest[1:])),
        replace(message, symbols=(replace(first, path=(Digest(bytes(32)), *first.path[1:])), *rest)),
        replace(message, symbols=(replace(first, path=()), *rest)),
        replace(message, symbols=(replace(first, source=999), *rest)),
        replace(message, axis=1 - message.axis),
        replace(message, index=(message.index + 1) % N),
        replace(message, index=999),
    ):
        refuse(replace(found, message=changed), crooked.metadata, "does not")
    with pytest.raises(PeerFaultError, match="does not"):
        check_contradiction(message, symbols, factories.blob_id())


def test_a_blob_that_is_as_it_should_be_is_never_proven_inconsistent(rng: random.Random) -> None:
    blob = encode(rng.randbytes(3_000), n=N)
    good = blob.metadata
    for axis in Axis:
        across = Axis(1 - axis)
        sources = range(good.shape.symbols_of(axis))
        claims = [symbol_with_proof(good, blob.sliver(across, source), 2) for source in sources]
        forged = module.contradiction_of(good, InconsistencyProof(axis, 2, tuple(claims)))
        refuse(forged, good, "as its metadata says")


def test_a_repairer_has_the_proof_in_the_symbols_that_it_collected(rng: random.Random) -> None:
    for bad_slivers in range(1, N + 1):
        crooked = crooked_of(rng, bad_slivers=bad_slivers)
        metadata = crooked.metadata
        for pair in range(N):
            shard = shard_of_pair(metadata.blob_id, PairIndex(pair), N)
            recovery = PairRecovery(metadata, shard)
            for source in range(N):
                for axis, needed in ((Axis.SECONDARY, pair), (Axis.PRIMARY, N - 1 - pair)):
                    index = source if axis is Axis.PRIMARY else N - 1 - source
                    if source != pair or axis is Axis.SECONDARY:
                        sliver = verify_sliver(metadata, axis, index, crooked.slivers[axis, index])
                        at = shard_of_pair(metadata.blob_id, PairIndex(source), N)
                        recovery.take(at, symbol_with_proof(metadata, sliver, needed))
            try:
                recovery.rebuild()
            except InconsistentBlobError:
                found = recovery.contradiction()
                check_contradiction(found.message, found.symbols, metadata.blob_id)


def test_few_are_known_and_the_earliest_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT_MAX", 2)
    known = InconsistentBlobs()
    for number in range(3):
        known.add(a_proof(number))
    assert len(known) == 2
    assert known.get(factories.blob_id(0)) is None
    assert known.get(factories.blob_id(2)) is not None


def test_what_is_found_is_dealt_with_once_and_a_few_holders_are_told() -> None:
    known = InconsistentBlobs()
    calls: list[bool] = []
    known.on_found = lambda: calls.append(known.has_found)
    holders = [peer_id(number) for number in range(20)]
    assert not known.has_found
    known.found(a_proof(1), holders)
    known.found(a_proof(1), holders)
    assert calls == [True]
    ((found, told),) = known.take_found()
    assert not known.has_found
    assert found.blob_id == factories.blob_id(1)
    assert set(told) < set(holders)
    assert len(told) == FINDER_TELLS_MAX
    assert known.take_found() == []
    for number in range(2, FOUND_MAX + 10):
        known.found(a_proof(number), ())
    assert len(known.take_found()) == FOUND_MAX


def test_notices_wait_in_turn_one_of_a_blob_and_few_in_all() -> None:
    notices = Notices()
    assert notices.take() is None
    for number in range(WAITING_MAX):
        assert notices.hear(peer_id(number % 3), factories.blob_id(number), now=0.0)
    assert not notices.hear(peer_id(1), factories.blob_id(9), now=0.0)
    assert not notices.hear(peer_id(1), factories.blob_id(WAITING_MAX), now=0.0)
    assert notices.take() == (factories.blob_id(0), peer_id(0))
    assert notices.hear(peer_id(1), factories.blob_id(WAITING_MAX), now=0.0)


def test_who_told_of_a_good_blob_is_not_heard_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    notices = Notices()
    notices.bar(peer_id(1), now=10.0)
    assert not notices.hear(peer_id(1), factories.blob_id(), now=10.0 + BARRED_S - 1)
    assert notices.hear(peer_id(2), factories.blob_id(), now=10.0)
    assert notices.hear(peer_id(1), factories.blob_id(2), now=10.0 + BARRED_S)
    monkeypatch.setattr(module, "BARRED_MAX", 2)
    for number in (3, 4, 5):
        notices.bar(peer_id(number), now=20.0)
    assert notices.hear(peer_id(3), factories.blob_id(3), now=20.0)
    assert not notices.hear(peer_id(5), factories.blob_id(5), now=20.0)


def test_each_holder_tells_the_next_ones_so_that_all_hear_of_it() -> None:
    holders = [peer_id(number) for number in range(9)]
    heard, fresh = {holders[0]}, [holders[0]]
    while fresh:
        told = [each for one in fresh for each in next_holders(holders, own=one)]
        fresh = [each for each in dict.fromkeys(told) if each not in heard]
        heard.update(fresh)
    assert heard == set(holders)
    assert all(len(next_holders(holders, own=each)) == TOLD_MAX for each in holders)
    assert next_holders(holders[:1], own=holders[0]) == []
    assert next_holders(holders[:2], own=holders[0]) == [holders[1]]
