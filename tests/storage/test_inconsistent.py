"""What this node has checked to be inconsistent goes to the trash, stays there, and is not taken in again."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from p2pnode.errors import LeaseError
from p2pnode.protocols.inconsistency import Contradiction
from p2pnode.storage import inconsistent as module
from p2pnode.storage.files import DiskFiles
from p2pnode.storage.store import TRASH_S_DEFAULT
from tests import factories
from tests.protocols.test_inconsistency import a_proof
from tests.storage.helpers import Pair, StillClock, check_accounting, make_pair, open_store, store
from tests.storage.test_trash import stored_for_a_month
from wire.ids import BlobId


def proof_against(blob_id: BlobId) -> Contradiction:
    """Return what stands for a checked proof against a blob."""
    return replace(a_proof(1), blob_id=blob_id)


async def test_its_pairs_go_to_the_trash_though_they_are_leased_and_nothing_brings_them_back(
    tmp_path: Path, rng: random.Random
) -> None:
    clock = StillClock()
    bad, good = make_pair(rng), make_pair(rng, number=2)
    target = await stored_for_a_month(tmp_path, bad, good, clock=clock)
    assert await target.set_aside(proof_against(bad.blob_id)) == 1
    assert await target.set_aside(proof_against(bad.blob_id)) == 0
    assert [each.blob_id for each in await target.trash()] == [bad.blob_id]
    check_accounting(target, tmp_path)
    await target.collect(clock.wall())
    with pytest.raises(LeaseError, match="is inconsistent"):
        await store(target, bad)
    with pytest.raises(LeaseError, match="is inconsistent"):
        await target.commit_lease(bad.final, bad.page, bad.shard_sets)
    await target.certify(bad.certificate, bad.final)
    assert [each.blob_id for each in await target.trash()] == [bad.blob_id]
    held = await target.held(good.blob_id)
    assert held is not None
    assert held.shards
    clock.now += TRASH_S_DEFAULT + 2
    assert (await target.collect(clock.wall())).pairs == (bad.key,)
    check_accounting(target, tmp_path)
    await target.close()


async def test_it_is_retracted_as_what_is_lost_is(tmp_path: Path, rng: random.Random) -> None:
    pair = make_pair(rng)
    target = await stored_for_a_month(tmp_path, pair)
    assert await target.receipts.untold_losses() == []
    await target.set_aside(proof_against(pair.blob_id))
    assert target.receipts.has_untold_losses
    assert await target.receipts.untold_losses() == [pair.key]
    retraction = factories.signed(factories.retraction(pair.blob_id, shard=pair.shard, sequence=9), factories.key())
    assert await target.receipts.retract([retraction]) == [retraction]
    assert await target.receipts.untold_losses() == []
    await target.close()


async def test_it_is_known_after_a_restart_and_few_are(
    tmp_path: Path, rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEPT_MAX", 2)
    clock = StillClock()
    target = await open_store(DiskFiles(tmp_path), clock=clock)
    proofs = [proof_against(factories.blob_id(number)) for number in range(3)]
    for proof in proofs:
        clock.now += 1
        assert await target.set_aside(proof) == 0
    await target.close()
    target = await open_store(DiskFiles(tmp_path), clock=clock)
    assert await target.load_inconsistent() == proofs[1:]
    pair: Pair = make_pair(rng)
    await store(target, pair)
    await target.close()
