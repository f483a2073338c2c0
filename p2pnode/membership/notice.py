"""What a node says of its own comings and goings in its member record.

A notice of maintenance prolongs the others' patience, for at most `MAINTENANCE_S_MAX` since the last sign of life. One
that leaves says so that nobody gives it new data meanwhile; that alone excuses nothing. Coming back ends both: a node
that runs is heard, so there is nothing left to excuse, and nothing to forget.
"""

from __future__ import annotations

from dataclasses import dataclass

from p2pnode.errors import CallerError
from p2pnode.membership.liveness import MAINTENANCE_S_MAX
from p2pnode.wording import human_duration
from wire.records import MemberState


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What stands in the record besides the facts. Times are seconds since 1970."""

    until: int = 0
    """The end of the maintenance that was announced; 0 when none was."""
    is_leaving: bool = False
    """Whether the node stops now."""
    is_draining: bool = False
    """Whether the node hands over what it keeps, and leaves for good: then nobody is to wait for it."""

    def said(self, *, wall: int) -> tuple[MemberState, int]:
        """Return state and end of a record that is signed at a time: maintenance that is over is not announced."""
        if self.is_draining:
            return MemberState.DRAINING, 0
        if self.is_leaving:
            return MemberState.MAINTENANCE, max(self.until, wall)
        if self.until > wall:
            return MemberState.MAINTENANCE, self.until
        return MemberState.ACTIVE, 0


def maintenance(for_s: int, *, wall: int) -> Notice:
    """Return the notice of an absence of so many seconds. Raises `CallerError` when nobody would wait that long."""
    if not 0 < for_s <= MAINTENANCE_S_MAX:
        message = (
            f"maintenance lasts at most {human_duration(MAINTENANCE_S_MAX)}: after that the others rebuild what this"
            " node keeps, whatever it has announced"
        )
        raise CallerError(message)
    return Notice(until=wall + for_s)
