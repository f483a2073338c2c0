"""The set of receipts on disk: what was kept is there after a restart, a lost index, a crash; what has ended goes."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from p2pnode.errors import DiskFullError
from p2pnode.protocols.page_records import NamedHolder, PageRecords, make_holder_record, page_name
from p2pnode.protocols.receipt_set import View
from p2pnode.protocols.retractions import RETRACTION_SECONDS, make_retraction
from p2pnode.storage import page_store
from p2pnode.storage.files import DiskFiles
from p2pnode.storage.store import SliverStore
from tests.factories import NETWORK, TIME, key, peer_id, public_key
from tests.storage.helpers import Pair, flip, make_pair, open_store, store
from wire.ids import Digest, LeaseTarget
from wire.records import Retraction
from wire.signed import Signed

OWN, FRIEND = peer_id(2), peer_id(1)
OUTSIDER = 9
VIEW = View(ranks={peer_id(OUTSIDER): 0})


def page_of(pair: Pair) -> Digest:
    """Return the name of a pair's page."""
    return page_name(pair.final.signer, LeaseTarget(pair.blob_id), 0)


def holder(pair: Pair, *, sequence: int = 5) -> NamedHolder:
    """Return what an outsider signed for a pair."""
    return make_holder_record(
        key(OUTSIDER), pair.final, pair.page, pair.shard_sets, network=NETWORK, sequence=sequence, time=TIME
    )


def retraction(pair: Pair, *, by: int = 2, sequence: int = 7, time: int = TIME) -> Signed[Retraction]:
    """Return the retraction of the holder of shard 1, unless told otherwise."""
    return make_retraction(key(by), pair.key, network=NETWORK, sequence=sequence, time=time)


async def filled(target: SliverStore, pair: Pair) -> PageRecords:
    """Keep a pair, its certificate, an outsider's record and a retraction; returns what is kept of the page."""
    await store(target, pair)
    await target.certify(pair.certificate, pair.final)
    new = PageRecords(holders=(holder(pair),), retractions=(retraction(pair, by=1 + pair.shard),))
    assert await target.receipts.merge_page(page_of(pair), new, VIEW) == new
    return await target.receipts.records_of_page(page_of(pair))


def record_files(path: Path) -> list[Path]:
    """Return the record files on disk."""
    return sorted(path.glob("records/*/*.rec"))


@pytest.mark.parametrize("loses_index", [False, True])
async def test_records_survive_a_restart_and_the_loss_of_the_index(
    tmp_path: Path, rng: random.Random, *, loses_index: bool
) -> None:
    pair = make_pair(rng)
    target = await open_store(DiskFiles(tmp_path))
    known = await filled(target, pair)
    digests = await target.receipts.page_digests(FRIEND, peer_id(3))
    assert any(digests)
    assert (len(known.certificates), len(known.holders), len(known.retractions)) == (1, 1, 1)
    await target.close()
    if loses_index:
        (tmp_path / "index.db").unlink()
    target = await open_store(DiskFiles(tmp_path))
    assert await target.receipts.records_of_page(page_of(pair)) == known
    assert await target.receipts.page_digests(FRIEND, peer_id(3)) == digests
    assert (await target.receipts.records_of_blob(pair.blob_id)).names() == tuple(
        sorted([holder(pair).name, retraction(pair).digest])
    )
    await target.close()


async def test_digests_follow_each_change_as_if_they_were_made_anew(tmp_path: Path, rng: random.Random) -> None:
    target = await open_store(DiskFiles(tmp_path))
    pairs = [make_pair(rng) for _ in range(5)]
    before = [await target.receipts.page_digests(FRIEND, peer_id(number)) for number in (3, OUTSIDER)]
    for pair in pairs:
        await filled(target, pair)
    followed = [await target.receipts.page_digests(FRIEND, peer_id(number)) for number in (3, OUTSIDER)]
    shared = await target.receipts.sharing(FRIEND, [peer_id(number) for number in range(12)])
    assert shared == [peer_id(2), peer_id(3), peer_id(OUTSIDER)]  # Node 2 has retracted, and has that to tell.
    pages, has_more = await target.receipts.pages_shared(FRIEND, peer_id(3), range(256), count_max=3)
    rest, has_rest = await target.receipts.pages_shared(FRIEND, peer_id(3), range(256), pages[-1].page)
    assert [each.page for each in (*pages, *rest)] == sorted(map(page_of, pairs))
    assert (has_more, has_rest) == (True, False)
    changed = await target.receipts.take_changed_pages()
    assert [page for page, _ in changed] == sorted(map(page_of, pairs))
    assert not target.receipts.has_changed_pages
    await target.close()
    target = await open_store(DiskFiles(tmp_path))
    anew = [await target.receipts.page_digests(FRIEND, peer_id(number)) for number in (3, OUTSIDER)]
    assert before != followed == anew
    await target.close()


async def test_a_record_that_a_newer_one_makes_needless_goes_with_its_file(tmp_path: Path, rng: random.Random) -> None:
    pair = make_pair(rng)
    target = await open_store(DiskFiles(tmp_path))
    await filled(target, pair)
    count = len(record_files(tmp_path))
    new = PageRecords(holders=(holder(pair, sequence=6),))
    assert await target.receipts.merge_page(page_of(pair), new, View()) == new  # It has its place already.
    assert (await target.receipts.records_of_page(page_of(pair))).holders == new.holders
    assert len(record_files(tmp_path)) == count
    assert await target.receipts.merge_page(page_of(pair), PageRecords(holders=(holder(pair),)), VIEW) == PageRecords()
    await target.close()


async def test_a_lost_pair_is_retracted_once_and_once_more_when_a_new_copy_is_lost(
    tmp_path: Path, rng: random.Random
) -> None:
    pair = make_pair(rng)
    target = await open_store(DiskFiles(tmp_path))
    await store(target, pair)
    assert await target.receipts.retract([retraction(pair)]) == []  # It is held.
    for sequence in (7, 8):
        flip(tmp_path / pair.path, -1)
        await target.close()
        (tmp_path / pair.path).write_bytes(b"")
        target = await open_store(DiskFiles(tmp_path))
        assert target.receipts.has_untold_losses
        assert await target.receipts.untold_losses() == [pair.key]
        mine = retraction(pair, sequence=sequence)
        assert await target.receipts.retract([mine]) == [mine]
        assert await target.receipts.untold_losses() == []
        assert [target.receipts.has_untold_losses] == [False]
        assert await target.receipts.retracted(public_key(2), [pair.key]) == {pair.key: mine}
        assert await target.receipts.retracted(public_key(3), [pair.key]) == {}
        await store(target, pair)
    await target.close()


async def test_what_has_ended_is_forgotten_with_its_files_and_nothing_else(tmp_path: Path, rng: random.Random) -> None:
    pair = make_pair(rng)
    target = await open_store(DiskFiles(tmp_path))
    known = await filled(target, pair)
    assert await target.receipts.collect_records(pair.final.record.end) == 0
    assert await target.receipts.collect_records(pair.final.record.end + 1) == 1
    left = await target.receipts.records_of_page(page_of(pair))
    assert (left.certificates, left.holders) == (known.certificates, ())
    assert await target.receipts.collect_records(TIME + RETRACTION_SECONDS + 1) == 1
    assert (await target.receipts.records_of_page(page_of(pair))).retractions == ()
    assert len(record_files(tmp_path)) == 1
    await target.close()


async def test_a_file_of_retractions_goes_when_each_was_replaced(tmp_path: Path, rng: random.Random) -> None:
    pair = make_pair(rng)
    target = await open_store(DiskFiles(tmp_path))
    await filled(target, pair)
    newer = PageRecords(retractions=(retraction(pair, sequence=70),))
    assert await target.receipts.merge_page(page_of(pair), newer, VIEW) == newer
    count = len(record_files(tmp_path))
    assert await target.receipts.collect_records(TIME) == 1
    assert len(record_files(tmp_path)) == count - 1
    assert (await target.receipts.records_of_page(page_of(pair))).retractions == newer.retractions
    await target.close()


@pytest.mark.parametrize("damage", ["gone", "flipped"])
async def test_a_record_that_the_disk_lost_is_left_out(tmp_path: Path, rng: random.Random, damage: str) -> None:
    pair = make_pair(rng)
    target = await open_store(DiskFiles(tmp_path))
    known = await filled(target, pair)
    await target.close()
    for path in record_files(tmp_path):
        if path.stem != pair.certificate.digest.hex():
            if damage == "gone":
                path.unlink()
            else:
                flip(path, 60)
    if damage == "flipped":
        (tmp_path / "index.db").unlink()
    target = await open_store(DiskFiles(tmp_path))
    left = await target.receipts.records_of_page(page_of(pair))
    assert left == PageRecords(certificates=known.certificates)
    await target.close()


async def test_a_full_disk_leaves_nothing_behind(
    tmp_path: Path, rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = make_pair(rng)
    target = await open_store(DiskFiles(tmp_path))
    await store(target, pair)
    await target.certify(pair.certificate, pair.final)
    before, files = await target.receipts.records_of_page(page_of(pair)), record_files(tmp_path)

    def full(*_: object) -> None:
        raise DiskFullError("the disk is full")

    monkeypatch.setattr(page_store, "_refresh", full)
    with pytest.raises(DiskFullError):
        await target.receipts.merge_page(
            page_of(pair), PageRecords(holders=(holder(pair),), retractions=(retraction(pair),)), VIEW
        )
    monkeypatch.undo()
    assert await target.receipts.records_of_page(page_of(pair)) == before
    assert record_files(tmp_path) == files
    await target.close()


async def test_changed_pages_are_bounded(tmp_path: Path, rng: random.Random, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_store, "CHANGED_PAGES_MAX", 2)
    target = await open_store(DiskFiles(tmp_path))
    for _ in range(4):
        await filled(target, make_pair(rng))
    assert len(await target.receipts.take_changed_pages()) == 2
    await target.close()


async def test_a_page_is_forgotten_with_its_last_record(tmp_path: Path, rng: random.Random) -> None:
    pair = make_pair(rng)
    target = await open_store(DiskFiles(tmp_path))
    new = PageRecords(holders=(holder(pair),))
    assert await target.receipts.merge_page(page_of(pair), new, VIEW) == new
    assert await target.receipts.collect_records(pair.final.record.end + 1) == 1
    assert await target.receipts.records_of_page(page_of(pair)) == PageRecords()
    assert (await target.receipts.our_pairs([pair.blob_id])).held == frozenset()
    assert record_files(tmp_path) == []
    await target.close()
