"""Pages that were read last: the same is told as if all were read anew, it is not read again, and there is a bound."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from p2pnode.protocols.page_records import PageRecords
from p2pnode.storage import page_memory, page_reading
from p2pnode.storage.files import DiskFiles
from p2pnode.storage.page_memory import PageMemory, ReadPage
from p2pnode.storage.recordfile import read_record
from p2pnode.storage.sealed import DamagedFileError
from p2pnode.storage.store import SliverStore
from tests.factories import TIME
from tests.storage.helpers import Pair, make_pair, open_store, store
from tests.storage.test_receipts import VIEW, filled, holder, page_of, retraction
from wire.ids import Digest

STEPS = 40


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows by the size of each record file that is read for a page."""
    sizes: list[int] = []

    def counted(data: bytes) -> object:
        sizes.append(len(data))
        return read_record(data)

    monkeypatch.setattr(page_reading, "read_record", counted)
    return sizes


def read_page(pair: Pair) -> ReadPage:
    """Return a page as it was read with one certificate and one holder record."""
    held = holder(pair)
    records = PageRecords(certificates=(pair.certificate,), holders=(held,))
    return ReadPage(
        certificates={pair.certificate.digest: pair.certificate},
        holders={held.name: held},
        retractions={},
        chosen=records,
    )


async def test_what_was_written_or_read_is_not_read_again(tmp_path: Path, rng: random.Random, reads: list[int]) -> None:
    pair = make_pair(rng)
    target = await open_store(DiskFiles(tmp_path))
    known = await filled(target, pair)
    assert reads == []
    await target.close()
    target = await open_store(DiskFiles(tmp_path))
    reads.clear()
    assert await target.receipts.records_of_page(page_of(pair)) == known
    assert len(reads) == len(known.certificates) + len(known.holders)
    assert await target.receipts.records_of_page(page_of(pair)) == known
    assert len(reads) == len(known.certificates) + len(known.holders)
    await target.close()


async def test_each_change_is_seen_as_if_all_were_read_anew(tmp_path: Path, rng: random.Random) -> None:
    pairs = [make_pair(rng) for _ in range(3)]
    target = await open_store(DiskFiles(tmp_path))
    for pair in pairs:
        await store(target, pair)
    seen: set[PageRecords] = set()
    for number in range(STEPS):
        await _change(target, rng.choice(pairs), rng, number)
        for pair in pairs:
            remembered = await target.receipts.records_of_page(page_of(pair))
            target._engine.page_memory = PageMemory()
            assert await target.receipts.records_of_page(page_of(pair)) == remembered
            seen.add(remembered)
    assert len(seen) > len(pairs)  # Much has changed.
    await target.close()


async def _change(target: SliverStore, pair: Pair, rng: random.Random, number: int) -> None:
    """Let something happen to a page, of all that can."""

    def merge(new: PageRecords) -> Callable[[], Awaitable[object]]:
        return lambda: target.receipts.merge_page(page_of(pair), new, VIEW)

    holders = PageRecords(holders=(holder(pair, sequence=5 + number),))
    retractions = PageRecords(retractions=(retraction(pair, by=rng.choice((1 + pair.shard, 9)), sequence=6 + number),))
    choices: tuple[Callable[[], Awaitable[object]], ...] = (
        merge(holders),
        merge(retractions),
        lambda: target.certify(pair.certificate, pair.final),
        lambda: target.receipts.collect_records(rng.choice((TIME, pair.final.record.end + 1))),
    )
    await rng.choice(choices)()


async def test_a_record_that_could_not_be_read_is_read_again(
    tmp_path: Path, rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = make_pair(rng)
    target = await open_store(DiskFiles(tmp_path))
    known = await filled(target, pair)
    target._engine.page_memory = PageMemory()

    def fails(_: bytes) -> object:
        raise DamagedFileError("for now")

    monkeypatch.setattr(page_reading, "read_record", fails)
    assert await target.receipts.records_of_page(page_of(pair)) == PageRecords()
    monkeypatch.undo()
    assert await target.receipts.records_of_page(page_of(pair)) == known
    await target.close()


@pytest.mark.parametrize("bound", ["PAGES_MAX", "BYTES_MAX"])
def test_the_pages_that_were_asked_for_longest_ago_make_room(
    rng: random.Random, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    pages = [Digest(rng.randbytes(Digest.length)) for _ in range(4)]
    read = [read_page(make_pair(rng)) for _ in pages]
    room = 3 if bound == "PAGES_MAX" else 3 * max(each.byte_count() for each in read)
    monkeypatch.setattr(page_memory, bound, room)
    memory = PageMemory()
    for page, each in zip(pages[:3], read, strict=False):
        memory.put(page, each)
    memory.put(pages[1], read[1])  # Once more counts once.
    assert memory.get(pages[0]) is read[0]
    memory.put(pages[3], read[3])
    kept = [page in memory._pages for page in pages]
    assert kept == [True, True, False, True]
    monkeypatch.setattr(page_memory, bound, 0)
    memory.put(pages[0], read[0])
    assert not memory._pages
    assert memory._byte_count == 0
