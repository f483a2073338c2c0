"""Sequence numbers never come twice, and members are found again after a restart."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path

import pytest
import trio

from p2pnode.errors import CallerError, LocalStorageError
from p2pnode.storage import numbers, recordfile, sequences
from p2pnode.storage.files import DiskFiles
from p2pnode.storage.sequences import SEQUENCES_LEFT_BEHIND
from p2pnode.storage.store import SliverStore
from p2pnode.system import ThreadOffload
from tests import factories
from tests.storage.helpers import StillClock, flip, open_store
from wire import limits
from wire.errors import WireError


async def test_numbers_rise_and_survive_reopening(tmp_path: Path) -> None:
    given = []
    for _ in range(3):
        target = await open_store(DiskFiles(tmp_path))
        given += [await target.next_sequence("member record") for _ in range(3)]
        assert await target.next_sequence("retraction", at_least=2) >= 2
        await target.close()
    assert given == list(range(1, 10))


async def test_at_least_is_a_floor_not_a_step_back(tmp_path: Path) -> None:
    target = await open_store(DiskFiles(tmp_path))
    assert await target.next_sequence("x", at_least=100) == 100
    assert await target.next_sequence("x", at_least=50) == 101
    assert await target.next_sequence("x", at_least=limits.UINT64_MAX) == limits.UINT64_MAX
    with pytest.raises(CallerError, match="64 bits"):
        await target.next_sequence("x")
    assert await target.next_sequence("y") == 1
    await target.close()


@pytest.mark.parametrize("count", [1, sequences.SEQUENCE_STRIDE, sequences.SEQUENCE_STRIDE + 1])
async def test_no_number_comes_twice_when_the_index_is_lost(tmp_path: Path, count: int) -> None:
    target = await open_store(DiskFiles(tmp_path))
    last = await target.next_sequence("x", at_least=count)
    await target.close()
    (tmp_path / "index.db").unlink()
    target = await open_store(DiskFiles(tmp_path))
    following = await target.next_sequence("x")
    assert last < following <= last + sequences.SEQUENCE_STRIDE
    assert await target.next_sequence("x") == following + 1
    await target.close()


async def test_no_number_comes_twice_when_an_old_index_is_put_back(tmp_path: Path) -> None:
    target = await open_store(DiskFiles(tmp_path))
    await target.next_sequence("x")
    await target.close()
    old = (tmp_path / "index.db").read_bytes()
    target = await open_store(DiskFiles(tmp_path))
    last = await target.next_sequence("x", at_least=5 * sequences.SEQUENCE_STRIDE)
    await target.close()
    (tmp_path / "index.db").write_bytes(old)
    target = await open_store(DiskFiles(tmp_path))
    assert await target.next_sequence("x") > last
    await target.close()


async def test_an_old_disk_goes_on_far_above_what_others_saw_for_every_purpose(tmp_path: Path) -> None:
    """Put back twice from one image, the second life leaves the first one's numbers behind as well."""
    target = await open_store(DiskFiles(tmp_path))
    await target.next_sequence("record")
    await target.take_number("receipt")
    assert await target.last_sequence("record") == 1
    assert await target.last_sequence("nothing yet") == 0
    await target.leave_sequences_behind(500)
    numbers = []
    for seen in (0, 7 * SEQUENCES_LEFT_BEHIND):
        highest = max(seen, 500)
        assert await target.last_sequence("record") >= highest + SEQUENCES_LEFT_BEHIND
        for purpose in ("record", "nothing yet"):
            numbers.append(await target.next_sequence(purpose))
            assert numbers[-1] > highest + SEQUENCES_LEFT_BEHIND
        for purpose in ("receipt", "no receipt yet"):
            numbers.append(await target.take_number(purpose))
            assert numbers[-1] > highest + SEQUENCES_LEFT_BEHIND
        await target.close()
        (tmp_path / "index.db").unlink()  # The floor outlives the index.
        target = await open_store(DiskFiles(tmp_path))
        assert await target.next_sequence("third") > highest + SEQUENCES_LEFT_BEHIND
        await target.leave_sequences_behind(7 * SEQUENCES_LEFT_BEHIND)
    assert numbers == sorted(numbers)
    with pytest.raises(CallerError, match="64 bits"):
        await target.leave_sequences_behind(limits.UINT64_MAX)
    await target.close()


async def test_numbers_asked_for_at_once_differ(tmp_path: Path) -> None:
    target = await SliverStore.open(DiskFiles(tmp_path), ThreadOffload(8), StillClock(), quota_bytes=1)
    given: list[int] = []

    async def ask() -> None:
        given.append(await target.next_sequence("x"))

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(ask)
    assert sorted(given) == list(range(1, 21))
    await target.close()


async def test_purposes_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PURPOSES_MAX is reached."""
    monkeypatch.setattr(sequences, "PURPOSES_MAX", 2)
    target = await open_store(DiskFiles(tmp_path))
    for purpose in ("a", "b"):
        await target.next_sequence(purpose)
    with pytest.raises(CallerError, match="3 purposes"):
        await target.next_sequence("c")
    assert recordfile.PURPOSES_MAX > 2
    await target.close()


async def test_damaged_ceilings_are_told_and_never_guessed(tmp_path: Path) -> None:
    target = await open_store(DiskFiles(tmp_path))
    await target.next_sequence("x")
    await target.close()
    good = (tmp_path / "sequences.rec").read_bytes()
    flip(tmp_path / "sequences.rec", 20)
    with pytest.raises(LocalStorageError, match=r"sequences\.rec in the data directory is damaged"):
        await open_store(DiskFiles(tmp_path))
    other = recordfile.record_bytes(factories.envelope())
    (tmp_path / "sequences.rec").write_bytes(other)
    with pytest.raises(LocalStorageError, match="holds something else"):
        await open_store(DiskFiles(tmp_path))
    (tmp_path / "sequences.rec").write_bytes(good)
    target = await open_store(DiskFiles(tmp_path))
    assert await target.next_sequence("x") == 2
    await target.close()


async def test_the_newest_record_of_each_member_is_kept(tmp_path: Path, rng: random.Random) -> None:
    target = await open_store(DiskFiles(tmp_path))
    record = factories.member_record()
    versions = {
        sequence: factories.signed(dataclasses.replace(record, sequence=sequence), factories.key(1)).envelope
        for sequence in (1, 2, limits.UINT64_MAX)
    }
    order = list(versions)
    rng.shuffle(order)
    await target.save_members([versions[sequence] for sequence in order])
    await target.save_members([versions[1], factories.signed_member(2).envelope])
    await target.close()
    target = await open_store(DiskFiles(tmp_path))
    kept = await target.load_members()
    assert {envelope.signer: envelope for envelope in kept} == {
        factories.public_key(1): versions[limits.UINT64_MAX],
        factories.public_key(2): factories.signed_member(2).envelope,
    }
    assert [envelope.signer for envelope in kept] == sorted(envelope.signer for envelope in kept)
    await target.close()


async def test_the_oldest_members_go_when_there_are_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MEMBERS_KEPT_MAX is reached."""
    monkeypatch.setattr(limits, "MEMBERS_KEPT_MAX", 3)
    target = await open_store(DiskFiles(tmp_path))
    record = factories.member_record()
    aged = [
        factories.signed(dataclasses.replace(record, time=factories.TIME - number), factories.key(number)).envelope
        for number in range(1, 6)
    ]
    await target.save_members(aged[:2])
    await target.save_members(aged[2:])
    assert {envelope.signer for envelope in await target.load_members()} == {each.signer for each in aged[:3]}
    await target.close()


async def test_what_is_no_member_record_is_refused_whole(tmp_path: Path) -> None:
    target = await open_store(DiskFiles(tmp_path))
    with pytest.raises(WireError):
        await target.save_members([factories.signed_member(1).envelope, factories.signed_lease().envelope])
    assert await target.load_members() == []
    await target.close()


async def test_numbers_from_memory_rise_over_restarts_and_cost_no_write_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numbers, "NUMBERS_STRIDE", 8)
    given: list[int] = []
    for _ in range(3):
        target = await open_store(DiskFiles(tmp_path))
        given += [await target.take_number("receipt")]
        before = (tmp_path / "sequences.rec").stat().st_mtime_ns
        given += [await target.take_number("receipt") for _ in range(7)]
        assert (tmp_path / "sequences.rec").stat().st_mtime_ns == before
        given += [await target.take_number("receipt")]
        await target.close()
        (tmp_path / "index.db").unlink()  # The index has no part in it.
    assert given == sorted(set(given))
    assert given[-1] <= 3 * 2 * 8


async def test_numbers_from_memory_can_be_told_to_go_on_from_further(tmp_path: Path) -> None:
    target = await open_store(DiskFiles(tmp_path))
    first = await target.take_number("receipt")
    assert await target.take_number("receipt", at_least=5) == 5
    assert await target.take_number("receipt", at_least=1) == 6
    far = await target.take_number("receipt", at_least=1_000_000)
    assert (first, far) == (1, 1_000_000)
    assert await target.take_number("receipt") == far + 1
    assert await target.take_number("receipt", at_least=limits.UINT64_MAX) == limits.UINT64_MAX
    with pytest.raises(CallerError, match="64 bits"):
        await target.take_number("receipt")
    await target.close()


async def test_numbers_from_memory_asked_for_at_once_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numbers, "NUMBERS_STRIDE", 3)
    target = await SliverStore.open(DiskFiles(tmp_path), ThreadOffload(8), StillClock(), quota_bytes=1)
    given: list[int] = []

    async def ask() -> None:
        given.append(await target.take_number("receipt"))

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(ask)
    assert len(set(given)) == 20
    await target.close()
