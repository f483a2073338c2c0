"""Opening after trouble: the files are the truth, and the index follows them."""

from __future__ import annotations

import copy
import random
import sqlite3
from pathlib import Path

import pytest

from p2pnode.errors import CorruptSliverError, HomeError, LocalStorageError
from p2pnode.seams import Files
from p2pnode.storage import database, index
from p2pnode.storage.files import DiskFiles
from p2pnode.storage.pairfile import MAGIC
from p2pnode.storage.rows import Table
from p2pnode.storage.schema import COUNTERS, MEMBERS, META, SCHEMA_VERSION, TABLES
from p2pnode.storage.sealed import seal
from p2pnode.storage.store import SliverStore
from testnet.sim.files import SimFiles
from tests import factories
from tests.storage.helpers import (
    FINAL_END,
    PROVISIONAL_END,
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
from wire import limits
from wire.ids import Axis

AFTER_PROVISIONAL = PROVISIONAL_END + 1
FLIPS = 60
"""Bits flipped in the index, each followed by opening it."""


async def fill(files: Files, rng: random.Random) -> list[Pair]:
    """Store pairs of every kind: provisional; pending; certified; both leases at once and certified; extended."""
    pairs = [make_pair(rng) for _ in range(5)]
    provisional, pending, certified, both, extended = pairs
    target = await open_store(files)
    for pair in (provisional, pending, certified, extended):
        await store(target, pair)
    await store(target, both, both.provisional, both.final)
    for pair in (pending, certified):
        await target.commit_lease(pair.final, pair.page, pair.shard_sets)
    for pair in (certified, both):
        await target.certify(pair.certificate, pair.final)
    later = factories.lease(extended.blob_id, end=PROVISIONAL_END - 5)
    await store(target, extended, factories.signed(later, factories.key(77)))
    elsewhere = make_pair(rng)
    await target.certify(elsewhere.certificate, elsewhere.final)
    await target.next_sequence("member record")
    await target.close()
    return pairs


def rows(root: Path, table: Table) -> list[tuple[object, ...]]:
    """Return all rows of a table in the index on disk."""
    connection = sqlite3.connect(root / "index.db")
    found = connection.execute(f"SELECT * FROM {table.name} ORDER BY 1, 2").fetchall()  # noqa: S608 - a table of ours
    connection.close()
    return [tuple(row) for row in found]


def rebuildable(root: Path) -> dict[str, list[tuple[object, ...]]]:
    """Return every table that files stand behind."""
    return {table.name: rows(root, table) for table in TABLES if table not in (MEMBERS, COUNTERS, META)}


async def check_all(target: SliverStore, where: Path | Files, pairs: list[Pair]) -> None:
    """Check everything that `fill` was told is done; ends with collecting what has expired."""
    provisional, pending, certified, both, extended = pairs
    for pair in pairs:
        await check_readable(target, pair)
    for pair in (certified, both):
        assert await target.certificates(pair.blob_id) == [pair.certificate.envelope]
    check_accounting(target, where)
    assert target.usage().pairs == len(pairs)
    collected = await target.collect(AFTER_PROVISIONAL)
    assert set(collected.pairs) == {provisional.key, pending.key, extended.key}
    for pair in (certified, both):
        await check_readable(target, pair)
    check_accounting(target, where)


async def test_a_lost_index_is_rebuilt_equal(tmp_path: Path, rng: random.Random) -> None:
    pairs = await fill(DiskFiles(tmp_path), rng)
    before = rebuildable(tmp_path)
    (tmp_path / "index.db").unlink()
    await (await open_store(DiskFiles(tmp_path))).close()
    assert rebuildable(tmp_path) == before
    target = await open_store(DiskFiles(tmp_path))
    await check_all(target, tmp_path, pairs)
    await target.close()


@pytest.mark.parametrize("damage", ["nonsense", "empty", "cut", "another database"])
async def test_an_unreadable_index_is_set_aside_and_rebuilt(tmp_path: Path, rng: random.Random, damage: str) -> None:
    pairs = await fill(DiskFiles(tmp_path), rng)
    path = tmp_path / "index.db"
    match damage:
        case "nonsense":
            path.write_bytes(b"nonsense" * 1000)
        case "empty":
            path.write_bytes(b"")
        case "cut":
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        case _:
            path.unlink()
            connection = sqlite3.connect(path)
            connection.execute("CREATE TABLE meta (something TEXT)")
            connection.commit()
            connection.close()
    target = await open_store(DiskFiles(tmp_path))
    await check_all(target, tmp_path, pairs)
    await target.close()
    if damage != "empty":  # An empty file is a new database to SQLite.
        assert (tmp_path / "index.db.damaged-1").exists()


async def test_few_damaged_indexes_are_kept(tmp_path: Path) -> None:
    """DAMAGED_KEPT_MAX is reached; the newest stay."""
    for number in range(database.DAMAGED_KEPT_MAX + 3):
        (tmp_path / "index.db").write_bytes(b"nonsense %d" % number * 100)
        await (await open_store(DiskFiles(tmp_path))).close()
    kept = [name for name in DiskFiles(tmp_path).names("") if ".damaged-" in name]
    assert kept == [f"index.db.damaged-{number}" for number in (4, 5, 6)]
    assert (tmp_path / kept[-1]).read_bytes().startswith(b"nonsense 5")


async def test_no_flipped_bit_of_the_index_is_believed(rng: random.Random) -> None:
    """Wherever one bit flips, opening gives back everything: the flip was harmless, or the index was rebuilt."""
    full = SimFiles()
    pairs = await fill(full, rng)
    good = full.read("index.db")
    rebuilt = 0
    for position in rng.sample([position for position in range(len(good)) if good[position]], FLIPS):
        files = copy.deepcopy(full)
        data = bytearray(good)
        data[position] ^= 1 << rng.randrange(8)
        files.damage("index.db", bytes(data))
        target = await open_store(files)
        rebuilt += any(".damaged-" in name for name in files.names(""))
        await check_all(target, files, pairs)
        assert await target.next_sequence("member record") > 1
        await target.close()
    assert rebuilt > FLIPS // 2


async def test_a_row_damaged_while_the_store_is_open_is_rebuilt_at_once(tmp_path: Path, rng: random.Random) -> None:
    pairs = await fill(DiskFiles(tmp_path), rng)
    target = await open_store(DiskFiles(tmp_path))
    other = sqlite3.connect(tmp_path / "index.db")
    other.execute("UPDATE pairs SET final_until = provisional_until, state = 1")
    other.execute("UPDATE certificates SET holders = holders + 1")
    other.commit()
    other.close()
    await check_readable(target, pairs[0])
    assert (tmp_path / "index.db.damaged-1").exists()
    await check_all(target, tmp_path, pairs)
    await target.close()


async def test_a_write_that_meets_a_damaged_row_is_done_after_the_rebuild(tmp_path: Path, rng: random.Random) -> None:
    pair = make_pair(rng)
    target = await open_store(DiskFiles(tmp_path))
    await store(target, pair)
    other = sqlite3.connect(tmp_path / "index.db")
    other.execute("UPDATE pairs SET shard = 2")
    other.execute("UPDATE pair_leases SET shard = 2")
    other.commit()
    other.close()
    other_pair = make_pair(rng, shard=3, number=5)
    same_blob = make_pair(rng, shard=3, number=5)
    await store(target, other_pair)
    await target.certify(pair.certificate, pair.final)
    await check_readable(target, pair)
    assert await target.missing([other_pair.key, same_blob.key]) == []
    assert (await target.collect(AFTER_PROVISIONAL)).pairs == (other_pair.key,)
    check_accounting(target, tmp_path)
    await target.close()


async def test_a_newer_index_is_refused_and_not_touched(tmp_path: Path, rng: random.Random) -> None:
    pair = make_pair(rng)
    target = await open_store(DiskFiles(tmp_path))
    await store(target, pair)
    await target.close()
    connection = sqlite3.connect(tmp_path / "index.db")
    META.put(connection, ("schema", SCHEMA_VERSION + 1))
    connection.commit()
    connection.close()
    with pytest.raises(HomeError, match=rf"schema version {SCHEMA_VERSION + 1}.*start the newer version"):
        await open_store(DiskFiles(tmp_path))
    assert not [name for name in DiskFiles(tmp_path).names("") if ".damaged" in name]


async def test_unfinished_files_are_removed(tmp_path: Path, rng: random.Random) -> None:
    pair = make_pair(rng)
    target = await open_store(DiskFiles(tmp_path))
    await store(target, pair)
    await target.certify(pair.certificate, pair.final)
    await target.close()
    unfinished = [f"{pair.path}.tmp-3", f"{records(tmp_path)[0]}.tmp-0", "sequences.rec.tmp-9"]
    for name in unfinished:
        (tmp_path / name).write_bytes(b"half")
    target = await open_store(DiskFiles(tmp_path))
    assert not any((tmp_path / name).exists() for name in unfinished)
    await check_readable(target, pair)
    check_accounting(target, tmp_path)
    await target.close()


async def test_a_file_without_a_row_is_adopted_with_its_leases(tmp_path: Path, rng: random.Random) -> None:
    """What a crash between rename and commit leaves behind."""
    pair, other = make_pair(rng), make_pair(rng)
    donor = await open_store(DiskFiles(tmp_path / "donor"))
    await store(donor, pair)
    await donor.close()
    target = await open_store(DiskFiles(tmp_path / "store"))
    await store(target, other)
    await target.certify(pair.certificate, pair.final)
    await target.close()
    path = tmp_path / "store" / pair.path
    path.parent.mkdir(exist_ok=True)
    path.write_bytes((tmp_path / "donor" / pair.path).read_bytes())
    target = await open_store(DiskFiles(tmp_path / "store"))
    await check_readable(target, pair)
    assert target.usage().pairs == 2
    assert (await target.collect(AFTER_PROVISIONAL)).pairs == (other.key,)
    check_accounting(target, tmp_path / "store")
    await target.close()


@pytest.mark.parametrize("damage", ["gone", "cut", "longer", "the whole directory gone"])
async def test_a_row_whose_file_is_gone_or_of_another_size_counts_as_lost(
    tmp_path: Path, rng: random.Random, damage: str
) -> None:
    pair, other = make_pair(rng), make_pair(rng)
    target = await open_store(DiskFiles(tmp_path))
    for each in (pair, other):
        await store(target, each)
    await target.close()
    path = tmp_path / pair.path
    match damage:
        case "cut":
            path.write_bytes(path.read_bytes()[:-1])
        case "longer":
            path.write_bytes(path.read_bytes() + b"x")
        case _:
            path.unlink()
            if damage != "gone":
                path.parent.rmdir()
    for _ in range(2):
        target = await open_store(DiskFiles(tmp_path))
        assert await target.lost_pairs() == [pair.key]
        with pytest.raises(CorruptSliverError):
            await target.read_sliver(pair.blob_id, Axis.PRIMARY, pair.index)
        await check_readable(target, other)
        check_accounting(target, tmp_path)
        assert target.usage().pairs == 1
        await target.close()


async def test_a_lost_pair_whose_file_is_whole_again_is_held_again(tmp_path: Path, rng: random.Random) -> None:
    """A new copy was in place when the power went, its row not yet; or a cable was loose."""
    pair = make_pair(rng)
    target = await open_store(DiskFiles(tmp_path))
    await store(target, pair)
    await target.certify(pair.certificate, pair.final)
    data = (tmp_path / pair.path).read_bytes()
    (tmp_path / pair.path).unlink()
    with pytest.raises(CorruptSliverError):
        await target.read_sliver(pair.blob_id, Axis.PRIMARY, pair.index)
    await target.close()
    (tmp_path / pair.path).write_bytes(data)
    target = await open_store(DiskFiles(tmp_path))
    await check_readable(target, pair)
    assert (await target.collect(FINAL_END + 1)).pairs == ()
    await target.close()


async def test_an_unknown_file_with_a_damaged_header_is_told_as_lost_for_a_day(
    tmp_path: Path, rng: random.Random
) -> None:
    pair = make_pair(rng)
    target = await open_store(DiskFiles(tmp_path))
    await store(target, pair)
    await target.close()
    (tmp_path / "index.db").unlink()
    flip(tmp_path / pair.path, 20)
    clock = StillClock()
    target = await open_store(DiskFiles(tmp_path), clock=clock)
    assert await target.lost_pairs() == [pair.key]
    assert await target.held(pair.blob_id) is None
    check_accounting(target, tmp_path)
    assert (await target.collect(clock.now + limits.PROVISIONAL_SECONDS_MAX)).pairs == ()
    assert (await target.collect(clock.now + limits.PROVISIONAL_SECONDS_MAX + 1)).pairs == (pair.key,)
    assert tree(tmp_path) == {}
    check_accounting(target, tmp_path)
    await target.close()


async def test_strange_files_are_left_alone(tmp_path: Path, rng: random.Random) -> None:
    pair = make_pair(rng)
    target = await open_store(DiskFiles(tmp_path))
    await store(target, pair)
    await target.certify(pair.certificate, pair.final)
    await target.close()
    strange = [tmp_path / pair.path, tmp_path / records(tmp_path)[0]]
    strange = [
        path.with_name(name) for path in strange for name in ("note.txt", f"{'0' * 64}-1.pair", f"{'1' * 64}.rec")
    ]
    strange = [path for path in strange if not path.parent.name.startswith(path.name[:2])]
    for path in strange:
        path.write_bytes(b"mine")
    target = await open_store(DiskFiles(tmp_path))
    await check_readable(target, pair)
    await target.close()
    assert all(path.read_bytes() == b"mine" for path in strange)


async def test_records_without_a_row_or_without_a_file_are_sorted_out(tmp_path: Path, rng: random.Random) -> None:
    pair, elsewhere = make_pair(rng), make_pair(rng)
    better = certificate(pair.final, pair.page, holders=4)
    worse = certificate(pair.final, pair.page, holders=2)
    donor = await open_store(DiskFiles(tmp_path / "donor"))
    await store(donor, elsewhere)
    await donor.commit_lease(elsewhere.final, elsewhere.page, elsewhere.shard_sets)
    files = dict[str, bytes]()
    for each in (worse, better):
        await donor.certify(each, pair.final)
        files |= {name: (tmp_path / "donor" / name).read_bytes() for name in records(tmp_path / "donor")}
    await donor.close()
    root = tmp_path / "store"
    target = await open_store(DiskFiles(root))
    await store(target, pair)
    await target.certify(pair.certificate, pair.final)
    await target.close()
    for name, data in files.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(data)
    (root / "records" / "00").mkdir(exist_ok=True)
    (root / "records" / "00" / f"{'0' * 64}.rec").write_bytes(b"damaged")
    target = await open_store(DiskFiles(root))
    assert await target.certificates(pair.blob_id) == [better.envelope]
    await target.close()
    names = records(root)
    assert {name[11:] for name in names} == {f"{better.digest.hex()}.rec", f"{'0' * 64}.rec"}
    for name in names:
        (root / name).unlink()
    target = await open_store(DiskFiles(root))
    assert await target.certificates(pair.blob_id) == []
    assert (await target.collect(AFTER_PROVISIONAL)).pairs == ()  # What took effect stays in effect.
    await target.close()


async def test_a_pair_file_of_a_newer_version_is_refused_not_lost(tmp_path: Path) -> None:
    from_newer = tmp_path / "pairs" / "ab"
    from_newer.mkdir(parents=True)
    from_newer.joinpath(f"{'ab' * 32}-1.pair").write_bytes(newer_file())
    with pytest.raises(HomeError, match="newer version"):
        await open_store(DiskFiles(tmp_path))


def newer_file() -> bytes:
    """Return a file whose header is intact and of format version 2."""
    return seal(MAGIC, 2, b"from the future")


async def test_a_directory_that_cannot_be_used_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "pairs").write_bytes(b"a file in the way")
    with pytest.raises(LocalStorageError, match="directory is needed"):
        await open_store(DiskFiles(tmp_path))


def test_every_pair_state_has_its_number_on_disk() -> None:
    assert [state.value for state in index.PairState] == [0, 1, 2, 3]
