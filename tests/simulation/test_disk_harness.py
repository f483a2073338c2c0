"""A short share of the disk harness; `python -m testnet.sim.disk_harness` does the long one. It finds planted bugs."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from p2pnode.storage import accounted, collection, engine, reader, recovery, recovery_records, sequences, writer
from testnet.sim import disk_harness
from testnet.sim.directory import SimFile
from testnet.sim.disk_harness import Share, Tally, try_flip, try_history
from testnet.sim.disk_harness_flips import Flipped
from testnet.sim.files import SimFiles
from tests.conftest import RUN_SEED

HISTORIES = range(3)
FLIPS = 120


@pytest.mark.parametrize("number", HISTORIES)
async def test_no_power_loss_at_any_moment_loses_what_was_told_done(number: int) -> None:
    tally = Tally()
    await try_history(f"{RUN_SEED}/{number}", tally, has_failing_calls=False)
    assert tally.finding == ""
    assert tally.images > 20


@pytest.mark.parametrize("seed", [RUN_SEED, 2326357022], ids=["this run's seed", "a loss that a full disk kept untold"])
async def test_no_failing_call_loses_what_was_told_done(seed: int) -> None:
    tally = Tally()
    await try_history(f"{seed}/calls", tally, has_failing_calls=True)
    assert tally.finding == ""
    assert tally.calls > 50


async def test_no_flipped_bit_is_served_or_ends_the_store(rng: random.Random) -> None:
    tally = Tally()
    flipped = await Flipped.prepare(rng)
    flips = list(flipped.flips(rng))
    for flip in rng.sample(flips, FLIPS):
        await try_flip(flipped, flip, tally)
    assert tally.finding == ""
    assert tally.noticed > 0


# ------------------------------------------------------------------------------------------- planted bugs


def forget_to_sync_directories(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SimFiles, "sync_directory", lambda *_: None)


def forget_to_sync_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SimFile, "make_durable", lambda _: None)


def forget_to_sync_records(monkeypatch: pytest.MonkeyPatch) -> None:
    def write(self: engine.Engine, name: str, data: bytes) -> None:
        self.files.rename(self.write_temporary(name, [data]), name)

    monkeypatch.setattr(engine.Engine, "write_durably", write)


def commit_the_row_before_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    publish = writer._publish

    def commit_first(target: engine.Engine, new: writer.NewPair, *rest: object) -> None:
        writer._commit_row(target, new, target.files.size(str(rest[0])))
        publish(target, new, *rest)  # type: ignore[arg-type]  # handed on as they came

    monkeypatch.setattr(writer, "_publish", commit_first)


def leave_unfinished_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "_remove_unfinished", lambda _: None)


def forget_the_ceiling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequences, "raise_ceiling", lambda *_: None)


def serve_without_looking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "check_sliver", lambda *_: None)


def adopt_no_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery_records, "_adopt_record", lambda *_: True)


def forget_leases_of_a_replaced_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "_keep_earlier_leases", lambda *_: None)


def collect_too_early(monkeypatch: pytest.MonkeyPatch) -> None:
    expired = collection._expired
    monkeypatch.setattr(collection, "_expired", lambda target, before: expired(target, before + 12 * 3600))


def free_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounted.AccountedFiles, "remove", lambda self, name: self._files.remove(name))


Plant = Callable[[pytest.MonkeyPatch], None]

PLANTED: dict[Plant, int] = {
    forget_to_sync_directories: 0,
    forget_to_sync_files: 0,
    forget_to_sync_records: 0,
    commit_the_row_before_the_file: 1,
    leave_unfinished_files: 0,
    forget_the_ceiling: 6,
    serve_without_looking: 4,
    adopt_no_records: 0,
    forget_leases_of_a_replaced_pair: 32,
    collect_too_early: 0,
    free_no_room: 0,
}
"""Each with the number of a history that finds it. After a change of how histories are drawn, look for new ones."""


@pytest.mark.parametrize(("plant", "number"), PLANTED.items(), ids=[plant.__name__ for plant in PLANTED])
async def test_a_planted_bug_is_found(monkeypatch: pytest.MonkeyPatch, plant: Plant, number: int) -> None:
    plant(monkeypatch)
    tally = Tally()
    await try_history(f"planted/{number}", tally, has_failing_calls=False)
    assert tally.finding.startswith(f"history planted/{number}, step ")


def test_the_command_tells_what_it_tried(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    work = [Share("command", 0, images=1), Share("command", 0, flips_apart=2_000)]
    monkeypatch.setattr(disk_harness, "shares", lambda *_: work)
    assert disk_harness.main(["--processes", "1"]) == disk_harness.ALL_WELL
    printed = capsys.readouterr().out
    assert "histories: 1\n" in printed
    assert "crash images: " in printed


def test_the_command_ends_with_the_finding(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    forget_to_sync_files(monkeypatch)
    assert disk_harness.main(["--images", "10", "--seed", "7", "--processes", "1"]) == disk_harness.FOUND
    assert "FOUND with seed 7: " in capsys.readouterr().out
