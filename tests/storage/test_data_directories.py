"""The data directories of a home: marked, listed, found again, never begun anew in place of one that is away."""

from __future__ import annotations

import dataclasses
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from p2pnode.errors import CallerError, HomeError
from p2pnode.storage.data_directories import LIST_FILE, forget, listed, open_directories, read_marker, states
from p2pnode.storage.directory_move import bytes_to_move, move_directory
from p2pnode.storage.files import DiskFiles
from p2pnode.storage.home import Home, HomeSettings, create_home, lock_home, open_home
from p2pnode.storage.settings import DATA_DIRS_MAX, settings_from_text, settings_to_text, with_data_dirs
from p2pnode.storage.spread_files import MARKER_NAME
from testnet.sim.rng import SimRng
from tests.storage.helpers import Pair, check_readable, make_pair, open_store, store


@pytest.fixture
def sim_rng(rng: random.Random) -> SimRng:
    """Chance."""
    return SimRng(rng)


@pytest.fixture
def home(tmp_path: Path, sim_rng: SimRng) -> Home:
    """A home with two data directories."""
    data_dirs = (str(tmp_path / "a"), str(tmp_path / "b"))
    return create_home(tmp_path / "home", settings=HomeSettings(data_dirs=data_dirs), rng=sim_rng)


def _with(home: Home, *data_dirs: str | Path) -> Home:
    settings = dataclasses.replace(home.settings, data_dirs=tuple(map(str, data_dirs)))
    return dataclasses.replace(home, settings=settings)


def _unmount(path: Path) -> None:
    path.rename(path.with_name(f"{path.name}-unmounted"))
    path.mkdir()


def _mount(path: Path) -> None:
    path.rmdir()
    path.with_name(f"{path.name}-unmounted").rename(path)


def test_each_directory_gets_a_marker_and_is_listed(home: Home, sim_rng: SimRng) -> None:
    assert open_directories(home, sim_rng).away() == ()
    known = listed(home)
    assert [each.path for each in known] == list(home.data_paths)
    assert [read_marker(home, path) for path in home.data_paths] == [each.directory_id for each in known]
    assert len({each.directory_id for each in known}) == 2
    open_directories(home, sim_rng)
    assert listed(home) == known


def test_the_data_directory_of_an_earlier_program_gets_its_marker_and_keeps_its_content(
    tmp_path: Path, sim_rng: SimRng
) -> None:
    home = create_home(tmp_path / "home", settings=HomeSettings(), rng=sim_rng)
    DiskFiles(home.data_path).write_new("index.db", [b"content"])
    assert home.data_path == tmp_path / "home" / "data"
    files = open_directories(home, sim_rng)
    assert files.read("index.db") == b"content"
    assert read_marker(home, home.data_path) is not None


def test_an_unmounted_disk_is_never_taken_for_an_empty_one(home: Home, sim_rng: SimRng) -> None:
    open_directories(home, sim_rng)
    first, second = home.data_paths
    _unmount(second)
    assert open_directories(home, sim_rng).away() == (str(second),)
    assert list(second.iterdir()) == []
    _mount(second)
    assert open_directories(home, sim_rng).away() == ()
    _unmount(first)
    with pytest.raises(HomeError, match="first data directory"):
        open_directories(home, sim_rng)
    assert list(first.iterdir()) == []


def test_an_empty_disk_in_the_place_of_another_is_begun_anew_without_a_command(
    home: Home, sim_rng: SimRng, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_directories(home, sim_rng)
    before = listed(home)
    first, second = home.data_paths
    _unmount(second)
    (second / "lost+found").mkdir()
    monkeypatch.setattr(Path, "is_mount", lambda path: path in (first, second))
    assert open_directories(home, sim_rng).away() == ()
    (same, other) = listed(home)
    assert same == before[0]
    assert (other.path, other.directory_id == before[1].directory_id) == (second, False)
    assert open_directories(home, sim_rng).away() == ()
    assert listed(home) == [same, other]


def test_a_new_first_disk_takes_the_others_as_they_are(
    home: Home, sim_rng: SimRng, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_directories(home, sim_rng)
    before = listed(home)
    first, second = home.data_paths
    DiskFiles(second).write_new("pairs-of-ours", [b"content"])
    _unmount(first)
    first.rmdir()  # The directory on the disk; the disk itself is mounted above it.
    monkeypatch.setattr(Path, "is_mount", lambda path: path == first.parent)
    assert open_directories(home, sim_rng).away() == ()
    assert listed(home)[0].directory_id != before[0].directory_id
    assert listed(home)[1] == before[1]


def test_beside_a_new_first_disk_one_that_is_not_mounted_stays_away(
    home: Home, sim_rng: SimRng, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_directories(home, sim_rng)
    before = listed(home)
    first, second = home.data_paths
    _unmount(first)
    _unmount(second)
    monkeypatch.setattr(Path, "is_mount", lambda path: path == first)
    assert open_directories(home, sim_rng).away() == (str(second),)
    assert list(second.iterdir()) == []
    assert listed(home)[1] == before[1]


def test_a_directory_that_was_removed_from_the_home_is_begun_anew(tmp_path: Path, sim_rng: SimRng) -> None:
    home = create_home(tmp_path / "home", settings=HomeSettings(), rng=sim_rng)
    open_directories(home, sim_rng)
    before = listed(home)
    shutil.rmtree(home.data_path)
    assert open_directories(home, sim_rng).away() == ()
    assert listed(home)[0].directory_id != before[0].directory_id
    _unmount(home.data_path)
    with pytest.raises(HomeError, match="first data directory"):
        open_directories(home, sim_rng)


def test_a_mount_point_that_is_gone_is_not_made(home: Home, sim_rng: SimRng) -> None:
    open_directories(home, sim_rng)
    second = home.data_paths[1]
    second.rename(second.with_name("elsewhere"))
    assert open_directories(home, sim_rng).away() == (str(second),)
    assert not second.exists()


def test_a_directory_is_found_where_the_settings_say_that_it_is_now(home: Home, sim_rng: SimRng) -> None:
    open_directories(home, sim_rng)
    before = listed(home)
    first, second = home.data_paths
    moved = second.rename(second.with_name("elsewhere"))
    assert open_directories(_with(home, first, moved), sim_rng).away() == ()
    assert [each.directory_id for each in listed(home)] == [each.directory_id for each in before]
    assert listed(home)[1].path == moved


def test_what_is_taken_out_of_the_settings_is_away_until_it_is_forgotten(home: Home, sim_rng: SimRng) -> None:
    open_directories(home, sim_rng)
    first, second = home.data_paths
    alone = _with(home, first)
    assert open_directories(alone, sim_rng).away() == (str(second),)
    _unmount(second)
    forget(alone, second)
    assert open_directories(alone, sim_rng).away() == ()


def test_a_directory_of_another_node_or_with_other_files_is_refused(
    home: Home, tmp_path: Path, sim_rng: SimRng
) -> None:
    open_directories(home, sim_rng)
    other = create_home(tmp_path / "other", settings=home.settings, rng=sim_rng)
    with pytest.raises(HomeError, match="belongs to node"):
        open_directories(other, sim_rng)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"cat")
    with pytest.raises(HomeError, match="other files"):
        open_directories(_with(home, *home.data_paths, tmp_path / "photos"), sim_rng)
    (tmp_path / "disk" / "lost+found").mkdir(parents=True)
    assert open_directories(_with(home, *home.data_paths, tmp_path / "disk"), sim_rng).away() == ()


def test_another_first_directory_a_copy_and_one_inside_another_are_refused(
    home: Home, tmp_path: Path, sim_rng: SimRng
) -> None:
    open_directories(home, sim_rng)
    first, second = home.data_paths
    for data_dirs in ((second, first), (second,), (tmp_path / "new", second)):
        with pytest.raises(HomeError, match="first data directory"):
            open_directories(_with(home, *data_dirs), sim_rng)
    shutil.copytree(second, tmp_path / "copy")
    with pytest.raises(HomeError, match="copy"):
        open_directories(_with(home, first, second, tmp_path / "copy"), sim_rng)
    with pytest.raises(HomeError, match="not apart"):
        open_directories(_with(home, first, first / "inside"), sim_rng)


def test_a_crash_between_the_marker_and_the_list_leaves_a_directory_that_is_ours(home: Home, sim_rng: SimRng) -> None:
    open_directories(home, sim_rng)
    known = listed(home)
    (home.path / LIST_FILE).unlink()
    assert open_directories(home, sim_rng).away() == ()
    assert listed(home) == known


@pytest.mark.parametrize(
    "text", ["", "something\n", "p2pnode-data-directories-v1\n", "p2pnode-data-directories-v1\nno id\n"]
)
def test_a_damaged_list_or_marker_is_told(home: Home, sim_rng: SimRng, text: str) -> None:
    open_directories(home, sim_rng)
    list_file = home.path / LIST_FILE
    whole = list_file.read_bytes()
    list_file.write_text(text)
    with pytest.raises(HomeError, match=LIST_FILE):
        open_directories(home, sim_rng)
    list_file.write_bytes(whole)
    (home.data_path / MARKER_NAME).write_text(text)
    with pytest.raises(HomeError, match="no marker"):
        states(home)


def test_the_states_tell_what_is_used_free_and_away(home: Home, sim_rng: SimRng) -> None:
    assert [(each.id, each.is_here) for each in states(home)] == [("", False)] * 2
    open_directories(home, sim_rng)
    first, second = states(home)
    assert (first.is_here, second.is_here) == (True, True)
    assert first.used >= 4096 or first.used >= len(first.id)
    assert first.free > 0
    _unmount(home.data_paths[1])
    gone = dataclasses.replace(second, is_here=False, used=0, free=0)
    assert states(home)[1] == gone
    assert states(_with(home, home.data_path))[1] == gone


def test_only_a_directory_that_is_away_is_forgotten_and_never_the_first(home: Home, sim_rng: SimRng) -> None:
    open_directories(home, sim_rng)
    first, second = home.data_paths
    with pytest.raises(CallerError, match="cannot be forgotten"):
        forget(home, first)
    with pytest.raises(CallerError, match="is here"):
        forget(home, second)
    with pytest.raises(CallerError, match="no data directory"):
        forget(home, second / "else")
    _unmount(second)
    forget(home, second)
    reopened = open_home(home.path)
    assert reopened.data_paths == (first,)
    assert open_directories(reopened, sim_rng).away() == ()


async def _fill(home: Home, sim_rng: SimRng, rng: random.Random) -> list[Pair]:
    target = await open_store(open_directories(home, sim_rng))
    pairs = [make_pair(rng) for _ in range(4)]
    for pair in pairs:
        await store(target, pair)
    await target.close()
    return pairs


async def _check(home: Home, sim_rng: SimRng, pairs: list[Pair]) -> None:
    target = await open_store(open_directories(home, sim_rng))
    assert target.away == ()
    for pair in pairs:
        await check_readable(target, pair)
    await target.close()


@pytest.mark.parametrize("number", [0, 1])
async def test_a_moved_directory_keeps_its_id_and_its_pairs(
    home: Home, tmp_path: Path, sim_rng: SimRng, rng: random.Random, number: int
) -> None:
    pairs = await _fill(home, sim_rng, rng)
    ids = [each.id for each in states(home)]
    old, new = home.data_paths[number], tmp_path / "deep" / "new"
    told: list[int] = []
    size = bytes_to_move(old)
    move_directory(home, old, new, told.append)
    assert sum(told) == size
    reopened = open_home(home.path)
    assert reopened.data_paths[number] == new
    assert not old.exists()
    await _check(reopened, sim_rng, pairs)
    assert [each.id for each in states(reopened)] == ids


def test_a_move_to_a_place_that_is_used_or_from_one_that_is_not_is_refused(
    home: Home, tmp_path: Path, sim_rng: SimRng
) -> None:
    open_directories(home, sim_rng)
    first, second = home.data_paths
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"cat")
    for old, new, why in (
        (second, first, "already"),
        (second, tmp_path / "photos", "other files"),
        (tmp_path / "c", tmp_path / "d", "no data directory"),
    ):
        with pytest.raises(CallerError, match=why):
            move_directory(home, old, new, lambda _: None)
    with pytest.raises(HomeError, match="not apart"):
        move_directory(home, second, second / "inside", lambda _: None)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(HomeError, match="the same command goes on"):
        move_directory(home, second, tmp_path / "file" / "inside", lambda _: None)
    assert open_home(home.path).data_paths == (first, second)


MOVE = """
import sys
from pathlib import Path
from p2pnode.storage.directory_move import move_directory
from p2pnode.storage.home import lock_home, open_home

path, old, new = map(Path, sys.argv[1:])
with lock_home(path):
    move_directory(open_home(path), old, new, lambda count: print(count, flush=True))
"""


def _killed_after(lines: int, *arguments: Path) -> None:
    """Let a process move until it has told so many lines, and kill it there."""
    process = subprocess.Popen([sys.executable, "-c", MOVE, *map(str, arguments)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process:
        for _ in range(lines):
            process.stdout.readline()
        process.kill()


async def test_a_process_killed_while_it_moves_goes_on_with_the_same_call(
    home: Home, tmp_path: Path, sim_rng: SimRng, rng: random.Random
) -> None:
    pairs = await _fill(home, sim_rng, rng)
    old, new = home.data_path, tmp_path / "new"
    for lines in (1, 3):
        await trio.to_thread.run_sync(_killed_after, lines, home.path, old, new)
    with lock_home(home.path):
        move_directory(open_home(home.path), old, new, lambda _: None)
    await _check(open_home(home.path), sim_rng, pairs)


def test_data_dirs_are_changed_and_every_other_character_stays() -> None:
    text = settings_to_text(HomeSettings(data_dirs=("/mnt/a", "/mnt/b")))
    changed = with_data_dirs(text, ["/mnt/c d"], where="config.toml")
    assert changed == text.replace('data_dirs = ["/mnt/a", "/mnt/b"]', 'data_dirs = ["/mnt/c d"]')
    added = with_data_dirs('network = "x"\n', ["/mnt/c"], where="config.toml")
    assert settings_from_text(added, where="config.toml") == HomeSettings(network="x", data_dirs=("/mnt/c",))
    with pytest.raises(HomeError, match="write by hand"):
        with_data_dirs('data_dirs = ["/a]b", "/c"]\n', ["/d"], where="config.toml")


@pytest.mark.parametrize("data_dirs", [(), ("",), ("/a\nb",), tuple(map(str, range(DATA_DIRS_MAX + 1)))])
def test_no_too_many_or_nameless_data_directories_are_refused(data_dirs: tuple[str, ...]) -> None:
    with pytest.raises(HomeError, match="data_dirs"):
        HomeSettings(data_dirs=data_dirs)
