"""Moving a data directory: whatever interrupts it, one whole directory is there, and the same call ends it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from p2pnode.errors import LocalStorageError
from p2pnode.storage import moving
from p2pnode.storage.moving import ARRIVING_NAME, LEFT_NAME, clear_directory, copy_directory, total_bytes
from p2pnode.storage.spread_files import MARKER_NAME
from testnet.sim.disk_events import DiskEvent, DiskOperation, NodeKilledError
from testnet.sim.files import SimFiles
from tests.storage.below import Below, marker
from tests.storage.helpers import FINAL_END, Pair, check_readable, make_pair, open_store, store

CONFIG = "config"
"""Stands for `config.toml`: which directory is used, replaced in one atomic step."""

SEEN: Callable[[int], None] = lambda _: None  # noqa: E731 - nobody looks


@dataclass
class Move:
    """A disk with a data directory that is to be moved, and what it holds."""

    disk: SimFiles = field(default_factory=SimFiles)
    pairs: list[Pair] = field(default_factory=list)

    @property
    def used(self) -> str:
        """Which directory is used now."""
        return self.disk.read(CONFIG).decode()

    def begin(self) -> None:
        """Make both places; the old one is used."""
        for name in ("old", "new"):
            self.disk.make_directory(name)
        self.disk.write_new(f"old/{MARKER_NAME}", [marker("it")])
        self.disk.sync_directory("old")
        self.disk.write_new(CONFIG, [b"old"])
        self.disk.sync_directory("")

    def run(self) -> None:
        """Do what is left of the move, as `move_directory` does."""
        if self.used == "old":
            copy_directory(Below(self.disk, "old"), Below(self.disk, "new"), marker("it"), SEEN)
            if f"{CONFIG}.tmp" in self.disk.names(""):
                self.disk.remove(f"{CONFIG}.tmp")
            self.disk.write_new(f"{CONFIG}.tmp", [b"new"])
            self.disk.rename(f"{CONFIG}.tmp", CONFIG)
            self.disk.sync_directory("")
        clear_directory(Below(self.disk, "old"))

    async def check(self) -> None:
        """Check that the directory that is used is marked and has everything, and nothing else is taken for one."""
        used = self.used
        assert self.disk.read(f"{used}/{MARKER_NAME}") == marker("it")
        target = await open_store(Below(self.disk, used))
        assert target.usage().pairs == len(self.pairs)
        for pair in self.pairs:
            await check_readable(target, pair)
        await target.close()


@pytest.fixture
async def filled(rng: random.Random) -> Move:
    """A data directory with pairs, records, numbers and an index."""
    move = Move()
    move.begin()
    await _fill(move, rng)
    return move


async def _fill(move: Move, rng: random.Random, *, pairs: int = 2) -> None:
    target = await open_store(Below(move.disk, "old"))
    for _ in range(pairs):
        pair = make_pair(rng, sliver_bytes=300)
        await store(target, pair)
        await target.certify(pair.certificate, pair.final)
        move.pairs.append(pair)
    await target.next_sequence("purpose")
    await target.close()


def _content(move: Move, name: str) -> dict[str, bytes]:
    """Return what a place holds."""
    files = move.disk.contents()
    return {each.removeprefix(f"{name}/"): data for each, data in files if each.startswith(f"{name}/")}


async def test_everything_is_there_afterwards_and_nothing_is_left(filled: Move) -> None:
    before = _content(filled, "old")
    filled.run()
    assert _content(filled, "new") == before
    assert _content(filled, "old") == {}
    await filled.check()


async def test_progress_counts_every_byte(filled: Move) -> None:
    told: list[int] = []
    old = Below(filled.disk, "old")
    copy_directory(old, Below(filled.disk, "new"), marker("it"), told.append)
    assert sum(told) == total_bytes(old) > 0


@pytest.mark.parametrize("end", ["killed", "power loss"])
async def test_killed_at_any_operation_it_is_whole_and_the_same_call_ends_it(rng: random.Random, end: str) -> None:
    """The node even runs in between, and changes what it holds: what was copied before is not trusted."""
    state = rng.getstate()
    stages = set()
    for step in range(1, 2000):
        rng.setstate(state)
        move = Move()
        move.begin()
        await _fill(move, rng, pairs=1)
        left = [step]

        def kill(_: DiskEvent, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] == 0:
                raise NodeKilledError

        move.disk.hook = kill
        try:
            move.run()
        except NodeKilledError:
            move.disk = move.disk.stop() if end == "killed" else move.disk.crash(random.Random(step))
        else:
            break
        stages.add((move.used, MARKER_NAME in move.disk.names("new"), LEFT_NAME in move.disk.names("old")))
        await move.check()
        if move.used == "old" and step % 3 == 0:
            target = await open_store(Below(move.disk, "old"))
            while (await target.collect(FINAL_END + 1)).has_more:
                pass
            await target.empty_trash()
            await target.close()
            move.pairs.clear()
        wanted = _content(move, move.used)
        move.run()
        assert move.used == "new"
        assert _content(move, "new") == wanted
        assert _content(move, "old") == {}
        await move.check()
    assert stages >= {("old", False, False), ("old", True, False), ("new", True, False), ("new", True, True)}
    assert step > 100


async def test_until_all_is_copied_the_new_place_is_marked_as_arriving_only(filled: Move) -> None:
    def kill(event: DiskEvent) -> None:
        if event.name == f"new/{MARKER_NAME}":
            raise NodeKilledError
        if event.name.startswith("new/pairs/") and event.operation is DiskOperation.RENAME:
            assert MARKER_NAME not in filled.disk.peek_names("new")
            assert ARRIVING_NAME in filled.disk.peek_names("new")

    filled.disk.hook = kill
    with pytest.raises(NodeKilledError):
        filled.run()


async def test_a_copy_that_reads_back_differently_ends_the_move_with_everything_in_the_old_place(filled: Move) -> None:
    def rot(event: DiskEvent) -> None:
        if event.operation is DiskOperation.FSYNC and event.is_done and event.name.startswith("new/pairs/"):
            filled.disk.injure(event.name, 100, bit=3)

    filled.disk.hook = rot
    with pytest.raises(LocalStorageError, match="differs"):
        filled.run()
    filled.disk.hook = None
    assert filled.used == "old"
    await filled.check()
    filled.run()
    await filled.check()


async def test_a_file_larger_than_a_piece_is_copied_piece_by_piece(
    filled: Move, rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "PIECE_BYTES", 100)
    data = rng.randbytes(1050)
    filled.disk.write_new("old/large", [data])
    filled.run()
    assert filled.disk.read("new/large") == data
    await filled.check()
