"""How the last transfers ended: a transfer that fails midway cannot change its status line, so its client asks here.

The client names a transfer itself, by a header. The names of two clients do not meet: each is 16 or more random
characters. Whoever has the token may ask for any of them.
"""

from __future__ import annotations

import dataclasses
import enum
import re
from collections import OrderedDict
from dataclasses import dataclass

from p2pnode.api.problems import Problem
from p2pnode.errors import CallerError, NotFoundError
from p2pnode.services.results import PutResult

TRANSFER_HEADER = "p2pnode-transfer"

TRANSFERS_KEPT_MAX = 256
"""Outcomes that are kept. A client asks at once after a cut, so few are enough; each has about 1 KB at most."""

_ID = re.compile(r"[A-Za-z0-9_-]{16,64}")


class TransferState(enum.StrEnum):
    """Where a transfer is."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class NoTransferError(NotFoundError):
    """No transfer of this name is remembered."""

    reason = "NO_TRANSFER"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What is known about a transfer: a failed one has its problem, a finished upload its result."""

    state: TransferState
    problem: Problem | None = None
    result: PutResult | None = None

    def as_json(self, transfer_id: str) -> dict[str, object]:
        """Return the answer of `GET /v1/transfers/{id}`."""
        return {
            "transfer": transfer_id,
            "state": self.state.value,
            "error": None if self.problem is None else self.problem.as_error(),
            "result": None if self.result is None else dataclasses.asdict(self.result),
        }


class Transfers:
    """The outcomes of the last TRANSFERS_KEPT_MAX named transfers; older ones are forgotten."""

    def __init__(self) -> None:
        self._outcomes: OrderedDict[str, Outcome] = OrderedDict()

    def start(self, transfer_id: str | None) -> Transfer:
        """Begin a transfer; without a name nothing is kept. Raises `CallerError` when the name is malformed."""
        if transfer_id is not None and _ID.fullmatch(transfer_id) is None:
            message = f"the header {TRANSFER_HEADER} must be 16 to 64 characters of A-Z, a-z, 0-9, '-' and '_'"
            raise CallerError(message)
        transfer = Transfer(self, transfer_id)
        transfer.tell(Outcome(state=TransferState.RUNNING))
        return transfer

    def outcome(self, transfer_id: str) -> Outcome:
        """Return what is known about a transfer. Raises `NoTransferError`."""
        outcome = self._outcomes.get(transfer_id)
        if outcome is None:
            message = "no transfer of this name is remembered"
            raise NoTransferError(message)
        return outcome

    def keep(self, transfer_id: str, outcome: Outcome) -> None:
        """Remember an outcome as the newest, and forget the oldest when there are too many."""
        self._outcomes[transfer_id] = outcome
        self._outcomes.move_to_end(transfer_id)
        while len(self._outcomes) > TRANSFERS_KEPT_MAX:
            self._outcomes.popitem(last=False)


@dataclass(frozen=True, slots=True)
class Transfer:
    """One transfer under way."""

    transfers: Transfers
    transfer_id: str | None

    def done(self, result: PutResult | None = None) -> None:
        """Remember that it succeeded."""
        self.tell(Outcome(state=TransferState.DONE, result=result))

    def failed(self, problem: Problem) -> None:
        """Remember why it failed."""
        self.tell(Outcome(state=TransferState.FAILED, problem=problem))

    def tell(self, outcome: Outcome) -> None:
        """Remember the outcome, when the transfer has a name."""
        if self.transfer_id is not None:
            self.transfers.keep(self.transfer_id, outcome)
