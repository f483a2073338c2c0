"""What is remembered of transfers."""

from __future__ import annotations

import pytest

from p2pnode.api.problems import problem_of
from p2pnode.api.transfers import TRANSFERS_KEPT_MAX, NoTransferError, Transfers
from p2pnode.errors import CallerError, QuotaError


def name(index: int) -> str:
    return f"{index:016}"


def test_a_transfer_runs_and_then_has_failed_with_its_reason() -> None:
    transfers = Transfers()
    transfer = transfers.start(name(1))
    assert transfers.outcome(name(1)).as_json(name(1)) == {
        "transfer": name(1),
        "state": "running",
        "error": None,
        "result": None,
    }
    transfer.failed(problem_of(QuotaError("no room")))
    assert transfers.outcome(name(1)).as_json(name(1)) == {
        "transfer": name(1),
        "state": "failed",
        "error": {"reason": "QUOTA", "message": "no room", "exit_code": 8},
        "result": None,
    }


def test_only_the_last_transfers_kept_max_are_remembered() -> None:
    transfers = Transfers()
    for index in range(TRANSFERS_KEPT_MAX):
        transfers.start(name(index))
    transfers.outcome(name(0))
    transfers.start(name(TRANSFERS_KEPT_MAX))
    with pytest.raises(NoTransferError):
        transfers.outcome(name(0))
    transfers.outcome(name(1))


def test_a_finished_transfer_counts_as_new_again() -> None:
    transfers = Transfers()
    first = transfers.start(name(0))
    for index in range(1, TRANSFERS_KEPT_MAX):
        transfers.start(name(index))
    first.done()
    transfers.start(name(TRANSFERS_KEPT_MAX))
    assert transfers.outcome(name(0)).state == "done"


def test_a_transfer_without_a_name_is_not_remembered() -> None:
    transfers = Transfers()
    transfers.start(None).done()
    with pytest.raises(NoTransferError):
        transfers.outcome("")


@pytest.mark.parametrize("bad", ["", "x" * 15, "x" * 65, "x" * 15 + "/", "x" * 15 + "\n"])
def test_a_malformed_name_is_refused(bad: str) -> None:
    with pytest.raises(CallerError):
        Transfers().start(bad)
