"""Final leases and certificates: pending until certified, in effect for every pair, and kept over a lost index."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path

import pytest

from p2pnode.errors import LeaseError, NotFoundError
from p2pnode.storage import lease_index
from p2pnode.storage.files import DiskFiles
from tests import factories
from tests.storage.helpers import (
    DAY_S,
    FINAL_END,
    PROVISIONAL_END,
    Pair,
    certificate,
    check_readable,
    flip,
    make_pair,
    open_store,
    records,
    store,
)
from wire.errors import WireError
from wire.ids import LeaseTarget, ShardIndex
from wire.records import Lease, LeaseScope, ShardSet
from wire.signed import Signed

AFTER_PROVISIONAL = PROVISIONAL_END + 1


async def test_a_pending_final_lease_does_not_keep_a_pair(tmp_path: Path, rng: random.Random) -> None:
    target = await open_store(DiskFiles(tmp_path))
    both, later = make_pair(rng), make_pair(rng)
    await store(target, both, both.provisional, both.final)
    await store(target, later)
    await target.commit_lease(later.final, later.page, later.shard_sets)
    assert (await target.collect(PROVISIONAL_END)).pairs == ()
    assert set((await target.collect(AFTER_PROVISIONAL)).pairs) == {both.key, later.key}
    await target.close()


async def test_a_certified_lease_keeps_a_pair_to_its_end(tmp_path: Path, rng: random.Random) -> None:
    """What follows is the trash: see `test_trash.py`."""
    target = await open_store(DiskFiles(tmp_path))
    pair = make_pair(rng)
    await store(target, pair)
    await target.commit_lease(pair.final, pair.page, pair.shard_sets)
    await target.certify(pair.certificate, pair.final)
    collected = await target.collect(FINAL_END)
    assert (collected.pairs, collected.trashed) == ((), ())
    await check_readable(target, pair)
    await target.close()


async def test_a_certificate_takes_effect_without_a_commit_before_it(tmp_path: Path, rng: random.Random) -> None:
    target = await open_store(DiskFiles(tmp_path))
    pair = make_pair(rng)
    await store(target, pair)
    await target.certify(pair.certificate, pair.final)
    assert (await target.collect(AFTER_PROVISIONAL)).pairs == ()
    await target.close()


async def test_a_certificate_that_came_before_the_pair_keeps_it(tmp_path: Path, rng: random.Random) -> None:
    target = await open_store(DiskFiles(tmp_path))
    pair = make_pair(rng)
    await target.certify(pair.certificate, pair.final)
    await store(target, pair)
    assert (await target.collect(AFTER_PROVISIONAL)).pairs == ()
    await target.close()


async def test_a_commit_is_all_or_nothing(tmp_path: Path, rng: random.Random) -> None:
    target = await open_store(DiskFiles(tmp_path))
    pair = make_pair(rng)
    await store(target, pair)
    sets = (*pair.shard_sets, ShardSet(shard=3, blobs=b"\x01"))
    with pytest.raises(NotFoundError, match="1 of 2 pairs of the page are not held here, the first is shard 3"):
        await target.commit_lease(pair.final, pair.page, sets)
    with pytest.raises(WireError):
        await target.commit_lease(pair.final, pair.page, (ShardSet(shard=1, blobs=b"\x00"),))
    assert records(tmp_path) == []
    await target.close()


async def test_a_file_lease_is_certified_page_by_page(tmp_path: Path, rng: random.Random) -> None:
    pairs = [make_pair(rng, number=number) for number in range(300)]
    kept = [pairs[0], pairs[255], pairs[256], pairs[299]]
    lease = factories.signed(factories.file_lease([pair.blob_id for pair in pairs]), factories.owner_key())
    first, second = factories.file_pages([pair.blob_id for pair in pairs])
    target = await open_store(DiskFiles(tmp_path))
    for pair in kept:
        await store(target, pair)
    bits = bytearray(32)
    bits[0], bits[31] = 1, 128
    await target.commit_lease(lease, first, (ShardSet(shard=1, blobs=bytes(bits)),))
    await target.certify(certificate(lease, first), lease)
    collected = await target.collect(AFTER_PROVISIONAL)
    assert set(collected.pairs) == {kept[2].key, kept[3].key}
    assert len(await target.certificates(pairs[17].blob_id)) == 1
    await target.certify(certificate(lease, second), lease)
    for blob in (pairs[0], pairs[299]):
        assert len(await target.certificates(blob.blob_id)) == 1
    await target.close()


async def test_a_node_without_the_pairs_keeps_certificates_too(tmp_path: Path, rng: random.Random) -> None:
    pair = make_pair(rng)
    target = await open_store(DiskFiles(tmp_path))
    await target.certify(pair.certificate, pair.final)
    assert await target.certificates(pair.blob_id) == [pair.certificate.envelope]
    assert await target.certificates(make_pair(rng).blob_id) == []
    assert await target.held(pair.blob_id) is None
    await target.close()


def longer(pair: Pair, days: int) -> Signed[Lease]:
    """Return another owner's lease for the same blob."""
    lease = factories.lease(pair.blob_id, end=FINAL_END + days * DAY_S)
    return factories.signed(lease, factories.key(500 + days))


async def test_certificates_come_with_the_longest_lease_first(tmp_path: Path, rng: random.Random) -> None:
    pair = make_pair(rng)
    target = await open_store(DiskFiles(tmp_path))
    made = {}
    for days in (2, 5, -3, 1, 4):
        lease = longer(pair, days)
        made[days] = certificate(lease, pair.page)
        await target.certify(made[days], lease)
    expected = [made[days].envelope for days in (5, 4, 2, 1)]
    assert await target.certificates(pair.blob_id) == expected
    assert await target.certificates(pair.blob_id, count_max=2) == expected[:2]
    await target.close()


async def test_a_certificate_replaces_one_with_fewer_holders_and_among_equals_all_nodes_keep_the_same(
    tmp_path: Path, rng: random.Random
) -> None:
    pair = make_pair(rng)
    target = await open_store(DiskFiles(tmp_path))
    three, four = (certificate(pair.final, pair.page, holders=count) for count in (3, 4))
    for certified, expected in ((three, three), (four, four), (three, four), (four, four)):
        await target.certify(certified, pair.final)
        assert await target.certificates(pair.blob_id) == [expected.envelope]
        assert len(records(tmp_path)) == 1
    other = dataclasses.replace(four.record, holders=four.record.holders[::-1])
    turned = factories.signed(other, factories.owner_key())
    for certified in (turned, four, turned):
        await target.certify(certified, pair.final)
        kept = max((turned, four), key=lambda each: each.digest)
        assert await target.certificates(pair.blob_id) == [kept.envelope]
    await target.close()


async def test_a_damaged_certificate_is_left_out(tmp_path: Path, rng: random.Random) -> None:
    pair = make_pair(rng)
    target = await open_store(DiskFiles(tmp_path))
    await target.certify(pair.certificate, pair.final)
    other = longer(pair, 1)
    await target.certify(certificate(other, pair.page), other)
    digest = pair.certificate.digest.hex()
    flip(tmp_path / "records" / digest[:2] / f"{digest}.rec", 500)
    assert await target.certificates(pair.blob_id) == [certificate(other, pair.page).envelope]
    await target.close()


async def test_a_pair_is_under_a_bounded_number_of_leases(tmp_path: Path, rng: random.Random) -> None:
    """LEASES_PER_PAIR_MAX is reached; a certified one still counts, because others rely on it."""
    pair = make_pair(rng)
    target = await open_store(DiskFiles(tmp_path))
    await store(target, pair)
    for number in range(lease_index.LEASES_PER_PAIR_MAX - 1):
        await target.commit_lease(longer(pair, number), pair.page, pair.shard_sets)
    with pytest.raises(LeaseError, match="the most that are kept"):
        await target.commit_lease(pair.final, pair.page, pair.shard_sets)
    with pytest.raises(LeaseError, match="the most that are kept"):
        await store(target, pair, pair.final)
    await target.certify(pair.certificate, pair.final)
    assert len(records(tmp_path)) == lease_index.LEASES_PER_PAIR_MAX
    await target.close()


async def test_a_blob_has_a_bounded_number_of_certificates(
    tmp_path: Path, rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_index, "CERTIFICATES_PER_BLOB_MAX", 2)
    pair = make_pair(rng)
    target = await open_store(DiskFiles(tmp_path))
    for days in (1, 2):
        await target.certify(certificate(longer(pair, days), pair.page), longer(pair, days))
    with pytest.raises(LeaseError, match="certificates here already"):
        await target.certify(pair.certificate, pair.final)
    better = certificate(longer(pair, 1), pair.page, holders=4)
    await target.certify(better, longer(pair, 1))
    assert len(await target.certificates(pair.blob_id)) == 2
    assert len(records(tmp_path)) == 2
    await target.close()


async def test_numbers_of_64_bits_are_kept_and_sorted(tmp_path: Path, rng: random.Random) -> None:
    """A peer chooses times and sequences; SQLite's own numbers have one bit less."""
    pair = make_pair(rng)
    target = await open_store(DiskFiles(tmp_path))
    lease = dataclasses.replace(
        pair.final.record, end=2**64 - 1, sequence=2**64 - 1, scope=LeaseScope.BLOB, target=LeaseTarget(pair.blob_id)
    )
    forever = factories.signed(lease, factories.key(9))
    await target.certify(pair.certificate, pair.final)
    await target.certify(certificate(forever, pair.page), forever)
    assert await target.certificates(pair.blob_id, 1) == [certificate(forever, pair.page).envelope]
    await store(target, pair)
    assert (await target.collect(float(2**64))).pairs == ()
    assert await target.missing([(pair.blob_id, ShardIndex(pair.shard))]) == []
    await target.close()
