"""A short share of how things end on a disk that fails; `python -m testnet.sim.disk_harness` does the long one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from p2pnode.storage import collection, recovery_records, trash
from p2pnode.storage.engine import Engine
from p2pnode.storage.index import PairRow
from testnet.sim import disk_harness
from testnet.sim.disk_harness import Tally, try_endings
from testnet.sim.disk_harness_endings import live_through_endings
from tests.conftest import RUN_SEED

STEPS = 6


@pytest.mark.parametrize("number", range(2))
async def test_no_loss_of_power_and_no_failing_call_changes_how_things_end(number: int) -> None:
    assert await live_through_endings(f"{RUN_SEED}/{number}", steps=STEPS) > 20


def forget_to_sync_the_trash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trash, "_sync", lambda *_: None)


def forget_tombstones_with_the_index(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery_records, "_adopt_tombstone", lambda *_: True)


def remove_the_file_before_the_row(monkeypatch: pytest.MonkeyPatch) -> None:
    forget = collection._forget

    def remove_first(engine: Engine, rows: list[PairRow]) -> object:
        for row in rows:
            engine.files.remove(row.name)
        return forget(engine, rows)

    monkeypatch.setattr(collection, "_forget", remove_first)


def forget_successions_with_the_index(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery_records, "_adopt_succession", lambda *_: True)


Plant = Callable[[pytest.MonkeyPatch], None]

PLANTED: dict[Plant, int] = {
    forget_to_sync_the_trash: 0,
    forget_tombstones_with_the_index: 0,
    remove_the_file_before_the_row: 0,
    forget_successions_with_the_index: 6,
}
"""Each with the number of a history that finds it. After a change of how histories are drawn, look for new ones."""


@pytest.mark.parametrize(("plant", "number"), PLANTED.items(), ids=[plant.__name__ for plant in PLANTED])
async def test_a_planted_bug_is_found(monkeypatch: pytest.MonkeyPatch, plant: Plant, number: int) -> None:
    plant(monkeypatch)
    tally = Tally()
    await try_endings(f"planted/{number}", tally)
    assert tally.finding.startswith(f"endings planted/{number}, step ")


def test_the_command_repeats_a_finding(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    forget_to_sync_the_trash(monkeypatch)
    number = PLANTED[forget_to_sync_the_trash]
    assert disk_harness.main(["--endings", f"planted/{number}"]) == disk_harness.FOUND
    assert "FOUND with seed 1: endings planted/" in capsys.readouterr().out
