"""The trash: where what has expired waits, is still read, and comes back from with a renewal."""

from __future__ import annotations

import errno
import random
from pathlib import Path

import pytest

from p2pnode.errors import CorruptSliverError, DiskFullError, LocalStorageError, NotFoundError
from p2pnode.storage import collection
from p2pnode.storage.files import DiskFiles
from p2pnode.storage.quota import on_disk
from p2pnode.storage.store import TRASH_S_DEFAULT, SliverStore
from testnet.sim.disk_events import DiskEvent, DiskOperation
from testnet.sim.files import SimFiles
from tests import factories
from tests.storage.helpers import (
    DAY_S,
    FINAL_END,
    Pair,
    StillClock,
    certificate,
    check_accounting,
    check_readable,
    flip,
    make_pair,
    open_store,
    records,
    store,
    tree,
)
from wire.ids import Axis
from wire.records import Lease
from wire.signed import Signed

AFTER_FINAL = FINAL_END + 1
TRASHED_AT = AFTER_FINAL
"""What was collected at this time is in the trash since then."""


async def stored_for_a_month(root: Path, *pairs: Pair, clock: StillClock | None = None) -> SliverStore:
    """Return a store with pairs under certified final leases."""
    target = await open_store(DiskFiles(root), clock=clock)
    for pair in pairs:
        await store(target, pair)
        await target.commit_lease(pair.final, pair.page, pair.shard_sets)
        await target.certify(pair.certificate, pair.final)
    return target


async def with_trash(root: Path, *pairs: Pair, clock: StillClock | None = None) -> SliverStore:
    """Return a store with pairs in the trash."""
    target = await stored_for_a_month(root, *pairs, clock=clock)
    assert set((await target.collect(AFTER_FINAL)).trashed) == {pair.key for pair in pairs}
    return target


def renewal(pair: Pair, *, sequence: int = 2, days: int = 60) -> Signed[Lease]:
    """Return the owner's next lease."""
    lease = factories.lease(pair.blob_id, sequence=sequence, end=factories.TIME + days * DAY_S)
    return factories.signed(lease, factories.owner_key())


async def check_read(target: SliverStore, pair: Pair) -> None:
    """Check that both slivers come back, promised or not."""
    assert await target.read_sliver(pair.blob_id, Axis.PRIMARY, pair.index) == pair.primary
    secondary = pair.metadata.n - 1 - pair.index
    assert await target.read_sliver(pair.blob_id, Axis.SECONDARY, secondary) == pair.secondary


async def test_what_had_a_final_lease_goes_to_the_trash_and_no_second_earlier(
    tmp_path: Path, rng: random.Random
) -> None:
    pair = make_pair(rng)
    target = await stored_for_a_month(tmp_path, pair)
    assert (await target.collect(float(FINAL_END))).trashed == ()
    await check_readable(target, pair)
    collected = await target.collect(FINAL_END + 0.001)
    assert (collected.trashed, collected.pairs, collected.bytes_freed) == ((pair.key,), (), 0)
    assert list(tree(tmp_path)) == [f"{pair.path}.trash-{TRASHED_AT}"]
    check_accounting(target, tmp_path)
    await target.close()


async def test_what_is_in_the_trash_is_read_but_not_promised(tmp_path: Path, rng: random.Random) -> None:
    pair = make_pair(rng)
    target = await with_trash(tmp_path, pair)
    await check_read(target, pair)
    held = await target.held(pair.blob_id)
    assert held is not None
    assert held.shards == ()
    assert await target.missing([pair.key]) == [pair.key]
    assert await target.lost_pairs() == []
    (listed,) = await target.trash()
    assert (listed.blob_id, listed.shard, listed.trashed_at) == (*pair.key, TRASHED_AT)
    assert listed.removed_at == TRASHED_AT + TRASH_S_DEFAULT
    usage = target.usage()
    assert (usage.trash_bytes, usage.pairs) == (on_disk(sum(tree(tmp_path).values())), 0)
    await target.close()


async def test_the_trash_lets_go_when_its_time_is_over_with_all_that_spoke_of_it(
    tmp_path: Path, rng: random.Random
) -> None:
    pair = make_pair(rng)
    target = await with_trash(tmp_path, pair)
    assert (await target.collect(TRASHED_AT + TRASH_S_DEFAULT)).pairs == ()
    assert len(records(tmp_path)) == 2
    assert (await target.collect(TRASHED_AT + TRASH_S_DEFAULT + 1)).pairs == (pair.key,)
    assert tree(tmp_path) == {}
    assert records(tmp_path) == []
    assert target.usage().trash_bytes == 0
    with pytest.raises(NotFoundError):
        await target.read_sliver(pair.blob_id, Axis.PRIMARY, pair.index)
    check_accounting(target, tmp_path)
    await target.close()


async def test_a_renewal_takes_data_back_out_of_the_trash(tmp_path: Path, rng: random.Random) -> None:
    pair = make_pair(rng)
    target = await with_trash(tmp_path, pair)
    again = renewal(pair)
    await target.commit_lease(again, pair.page, pair.shard_sets)
    await check_readable(target, pair)
    assert list(tree(tmp_path)) == [pair.path]
    assert (await target.collect(again.record.end)).trashed == ()
    await target.close()
    (tmp_path / "index.db").unlink()
    target = await open_store(DiskFiles(tmp_path))
    assert (await target.collect(again.record.end)).trashed == ()
    await check_readable(target, pair)
    assert (await target.collect(again.record.end + 1)).trashed == (pair.key,)
    check_accounting(target, tmp_path)
    await target.close()


async def test_the_certificate_of_a_renewal_takes_data_back_too(tmp_path: Path, rng: random.Random) -> None:
    pair = make_pair(rng)
    target = await with_trash(tmp_path, pair)
    again = renewal(pair)
    await target.certify(certificate(again, pair.page), again)
    await check_readable(target, pair)
    assert await target.trash() == []
    await target.close()


async def test_a_pair_in_the_trash_is_stored_again_without_its_bytes(tmp_path: Path, rng: random.Random) -> None:
    pair = make_pair(rng)
    target = await with_trash(tmp_path, pair)
    target.set_quota(target.usage().used_bytes)
    await store(target, pair, renewal(pair))
    await check_readable(target, pair)
    assert target.usage().trash_bytes == 0
    assert list(tree(tmp_path)) == [pair.path]
    check_accounting(target, tmp_path)
    await target.close()


async def test_damage_in_the_trash_is_not_served_not_told_as_lost_and_replaced_by_a_new_copy(
    tmp_path: Path, rng: random.Random
) -> None:
    pair = make_pair(rng)
    target = await with_trash(tmp_path, pair)
    flip(tmp_path / f"{pair.path}.trash-{TRASHED_AT}", -1)
    flip(tmp_path / f"{pair.path}.trash-{TRASHED_AT}", -len(pair.secondary) - 1)
    with pytest.raises(CorruptSliverError):
        await target.read_sliver(pair.blob_id, Axis.PRIMARY, pair.index)
    assert await target.lost_pairs() == []
    with pytest.raises(NotFoundError, match="1 of 1 pairs of the page are not held"):
        await target.commit_lease(renewal(pair), pair.page, pair.shard_sets)
    await store(target, pair, renewal(pair))
    await check_readable(target, pair)
    assert list(tree(tmp_path)) == [pair.path]
    check_accounting(target, tmp_path)
    await target.close()


async def test_the_trash_is_known_when_the_index_is_lost(tmp_path: Path, rng: random.Random) -> None:
    pair = make_pair(rng)
    target = await with_trash(tmp_path, pair)
    listed = await target.trash()
    for name in ("", "index.db"):
        await target.close()
        if name:
            (tmp_path / name).unlink()
        target = await open_store(DiskFiles(tmp_path))
        assert await target.trash() == listed
        check_accounting(target, tmp_path)
    assert (await target.collect(TRASHED_AT + TRASH_S_DEFAULT + 1)).pairs == (pair.key,)
    await target.close()


async def test_a_lease_that_lives_takes_back_what_a_wrong_clock_put_away(tmp_path: Path, rng: random.Random) -> None:
    pair, rotten = make_pair(rng), make_pair(rng)
    target = await with_trash(tmp_path, pair, rotten)
    flip(tmp_path / f"{rotten.path}.trash-{TRASHED_AT}", -1)
    await target.collect(FINAL_END - 5)
    await check_readable(target, pair)
    assert await target.lost_pairs() == [rotten.key]
    check_accounting(target, tmp_path)
    await target.close()


async def test_a_lost_pair_does_not_wait_in_the_trash(tmp_path: Path, rng: random.Random) -> None:
    pair = make_pair(rng)
    target = await stored_for_a_month(tmp_path, pair)
    flip(tmp_path / pair.path, -len(pair.secondary) - 1)
    with pytest.raises(CorruptSliverError):
        await target.read_sliver(pair.blob_id, Axis.PRIMARY, pair.index)
    collected = await target.collect(AFTER_FINAL)
    assert (collected.pairs, collected.trashed) == ((pair.key,), ())
    assert tree(tmp_path) == {}
    check_accounting(target, tmp_path)
    await target.close()


async def test_a_restored_pair_has_another_trash_time(tmp_path: Path, rng: random.Random) -> None:
    pair, clock = make_pair(rng), StillClock()
    target = await with_trash(tmp_path, pair, clock=clock)
    clock.now = TRASHED_AT + TRASH_S_DEFAULT - 10
    for _ in range(2):  # The second time in the same second: nothing is left to do.
        assert await target.restore(pair.blob_id) == 1
        check_accounting(target, tmp_path)
    assert (await target.collect(TRASHED_AT + TRASH_S_DEFAULT + 1)).pairs == ()
    await check_read(target, pair)
    assert (await target.collect(clock.now + TRASH_S_DEFAULT + 1)).pairs == (pair.key,)
    check_accounting(target, tmp_path)
    with pytest.raises(NotFoundError, match="in the trash of this node"):
        await target.restore(pair.blob_id)
    await target.close()


async def test_the_trash_is_emptied_in_bounded_steps_and_nothing_else_goes(
    tmp_path: Path, rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collection, "COLLECT_PAIRS_MAX", 2)
    pairs, kept = [make_pair(rng) for _ in range(3)], make_pair(rng)
    target = await stored_for_a_month(tmp_path, *pairs)
    await store(target, kept)
    first = await target.collect(AFTER_FINAL)
    assert (len(first.trashed), first.has_more) == (2, True)
    await target.collect(AFTER_FINAL)
    first, second = await target.empty_trash(), await target.empty_trash()
    assert (len(first.pairs), first.has_more, len(second.pairs), second.has_more) == (2, True, 1, False)
    assert target.usage().trash_bytes == 0
    check_accounting(target, tmp_path)
    await target.close()


async def test_a_month_of_renewals_leaves_one_lease_and_one_certificate(tmp_path: Path, rng: random.Random) -> None:
    pair = make_pair(rng)
    target = await stored_for_a_month(tmp_path, pair)
    again = pair.final
    for sequence in range(2, 9):
        again = renewal(pair, sequence=sequence, days=30 * sequence)
        await target.commit_lease(again, pair.page, pair.shard_sets)
        await target.certify(certificate(again, pair.page), again)
        await target.collect(again.record.end - DAY_S)
    assert len(records(tmp_path)) == 2
    assert await target.certificates(pair.blob_id) == [certificate(again, pair.page).envelope]
    await target.close()
    (tmp_path / "index.db").unlink()
    target = await open_store(DiskFiles(tmp_path))
    assert (await target.collect(again.record.end)).trashed == ()
    await check_readable(target, pair)
    await target.close()


async def test_a_renewal_of_what_never_took_effect_stays_pending(tmp_path: Path, rng: random.Random) -> None:
    """Else a put that failed twice would leave what outlives its provisional lease."""
    pair = make_pair(rng)
    target = await open_store(DiskFiles(tmp_path))
    await store(target, pair)
    for lease in (pair.final, renewal(pair)):
        await target.commit_lease(lease, pair.page, pair.shard_sets)
    assert (await target.collect(pair.provisional.record.end + 1)).pairs == (pair.key,)
    await target.close()


async def test_a_shorter_renewal_takes_no_time_from_the_lease_that_it_renews(
    tmp_path: Path, rng: random.Random
) -> None:
    pair = make_pair(rng)
    target = await stored_for_a_month(tmp_path, pair)
    await target.commit_lease(renewal(pair, days=10), pair.page, pair.shard_sets)
    assert (await target.collect(FINAL_END)).trashed == ()
    assert (await target.collect(AFTER_FINAL)).trashed == (pair.key,)
    await target.close()


@pytest.mark.parametrize("way", ["to the trash", "out of it"])
async def test_a_move_that_cannot_be_undone_stops_writing_and_loses_nothing(rng: random.Random, way: str) -> None:
    """The disk takes the rename, not the commit, and then no rename either."""
    pair, files = make_pair(rng), SimFiles()
    target = await open_store(files)
    await store(target, pair)
    await target.certify(pair.certificate, pair.final)
    if way == "out of it":
        await target.collect(AFTER_FINAL)
    renames = 0

    def fail(event: DiskEvent) -> None:
        nonlocal renames
        renames += event.operation is DiskOperation.RENAME and event.name.startswith("pairs/") and not event.is_done
        if (renames and event.operation is not DiskOperation.RENAME and not event.is_done) or renames > 1:
            raise OSError(errno.ENOSPC, "no room", event.name)

    files.hook = fail
    move = target.collect(AFTER_FINAL) if way == "to the trash" else renewed(target, pair)
    with pytest.raises(DiskFullError):
        await move
    files.hook = None
    with pytest.raises(LocalStorageError, match="cannot undo a move"):
        await target.next_sequence("anything")
    with pytest.raises(LocalStorageError):
        await check_read(target, pair)
    await target.close()
    target = await open_store(files.stop())
    await check_read(target, pair)
    assert await target.lost_pairs() == []
    assert await target.receipts.untold_losses() == []
    await target.close()


async def renewed(target: SliverStore, pair: Pair) -> None:
    """Put a pair under the owner's next lease."""
    await target.commit_lease(renewal(pair), pair.page, pair.shard_sets)
