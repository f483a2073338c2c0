"""The histories of a store against their model: a seeded share of them, and bugs that they must find.

All of them: `python -m testnet.sim.storage_histories --histories 10000`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

import pytest

from p2pnode.storage import accounted, burying, collection, engine, index, lease_index, leasing, tombstone_index
from p2pnode.storage.schema import LEASES
from testnet.sim import storage_histories
from testnet.sim.disk_harness_goods import DAY_S
from testnet.sim.storage_histories import ALL_WELL, FOUND, main, work_off
from wire.records import Lease, Tombstone
from wire.signed import Signed

SHARE = 20
"""Histories that `make test` plays: two seconds' worth."""

SEARCHED = 60
"""In so many histories each planted bug is found."""


def test_nothing_leased_goes_nothing_expired_stays_and_the_account_is_right(seed: int) -> None:
    assert work_off([f"{seed}/{number}" for number in range(SHARE)]) == ""


def test_histories_that_found_a_bug_stay_well() -> None:
    """In 4000/1057 a renewal out of the trash was taken for a lease that nobody has certified.

    Its owner's certificate had been forgotten, because another owner's lease ended later, and then the index was lost.
    """
    assert work_off(["4000/1057"]) == ""


Plant = Callable[[pytest.MonkeyPatch], None]


def a_tombstone_ends_every_owners_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    def leases_of_target(connection: sqlite3.Connection, tombstone: Signed[Tombstone]) -> list[Signed[Lease]]:
        target = bytes(tombstone.record.target)
        digests = [row[0] for row in LEASES.rows(connection, "WHERE target = ?", (target,))]
        found = [lease_index.lease(connection, digest) for digest in digests if isinstance(digest, bytes)]
        return [each for each in found if each is not None]

    monkeypatch.setattr(burying, "_ended_leases", leases_of_target)
    monkeypatch.setattr(tombstone_index, "end_here", lambda *_: 1)


def a_renewal_leaves_data_in_the_trash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leasing, "_take_back", lambda *_: None)
    monkeypatch.setattr(collection, "_take_back_leased", lambda *_: 0)


def a_final_lease_ends_a_week_early(monkeypatch: pytest.MonkeyPatch) -> None:
    put_away = collection._put_away
    monkeypatch.setattr(collection, "_put_away", lambda engine, before: put_away(engine, before + 7 * DAY_S))


def the_trash_is_emptied_years_later(monkeypatch: pytest.MonkeyPatch) -> None:
    expired = collection._expired

    def much_later(target: engine.Engine, before: int) -> list[index.PairRow]:
        return [row for row in expired(target, before) if row.state is not index.PairState.TRASHED]

    monkeypatch.setattr(collection, "_expired", much_later)


def a_replay_brings_back_what_was_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(burying, "refuse_buried", lambda *_: None)


def a_replaced_file_still_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounted.AccountedFiles, "remove", lambda self, name: self._files.remove(name))


PLANTED: tuple[Plant, ...] = (
    a_tombstone_ends_every_owners_lease,
    a_renewal_leaves_data_in_the_trash,
    a_final_lease_ends_a_week_early,
    the_trash_is_emptied_years_later,
    a_replay_brings_back_what_was_deleted,
    a_replaced_file_still_counts,
)


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_a_planted_bug_is_found(monkeypatch: pytest.MonkeyPatch, plant: Plant) -> None:
    plant(monkeypatch)
    assert work_off([f"p/{number}" for number in range(SEARCHED)]).startswith("history p/")


def test_the_command_tells_what_was_found_and_ends_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--histories", "2", "--processes", "1"]) == ALL_WELL
    assert "nothing found" in capsys.readouterr().out
    monkeypatch.setattr(storage_histories, "work_off", lambda names: f"history {names[0]}, broken")
    assert main(["--history", "7/3"]) == FOUND
    assert "FOUND: history 7/3, broken" in capsys.readouterr().out
