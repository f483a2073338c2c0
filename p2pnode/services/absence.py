"""Going away for a while: the others are told before, so that they wait for us and give us no new data."""

from __future__ import annotations

from dataclasses import replace

from p2pnode.errors import CallerError, LocalStorageError
from p2pnode.membership.notice import Notice, maintenance
from p2pnode.services.context import Context
from p2pnode.services.events import Events
from p2pnode.services.membership import Membership
from p2pnode.services.owner_face import (
    AbsenceState,
    Warning,  # noqa: A004 - the word that the user sees
)
from p2pnode.wording import human_date
from wire.records import MemberState


class Absence:
    """An `AbsenceFace` over the node's place among the members."""

    def __init__(self, context: Context, membership: Membership, events: Events) -> None:
        """Nothing is announced."""
        self._context = context
        self._membership = membership
        self._events = events

    def state(self) -> AbsenceState:
        """See `AbsenceFace`."""
        record = self._membership.own.record
        return AbsenceState(
            state=MemberState(record.state).name.lower(),
            until=record.state_until or None,
        )

    async def announce(self, for_s: int) -> AbsenceState:
        """See `AbsenceFace`."""
        if self._membership.own_record.notice.is_draining:
            message = "this node drains: nobody is to wait for it; 'p2pnode drain --stop' ends that"
            raise CallerError(message)
        notice = maintenance(for_s, wall=self._context.wall_seconds())
        await self._membership.say(notice)
        self._events.tell("maintenance", f"the others know that this node may be away until {human_date(notice.until)}")
        return self.state()

    async def end(self) -> AbsenceState:
        """See `AbsenceFace`."""
        was = self.state()
        if was.until is not None:
            await self._membership.say(Notice())
            self._events.tell("maintenance", "the others know that this node stays")
        return self.state()

    async def leave(self) -> None:
        """Tell the others that we stop now; what was announced before still holds. Takes a second at most."""
        try:
            await self._membership.say(replace(self._membership.own_record.notice, is_leaving=True))
        except LocalStorageError:
            return  # Nothing can be signed on a disk that fails; the others see soon enough that we are gone.

    def warnings(self) -> tuple[Warning, ...]:
        """Say that an absence is announced, and how to take it back."""
        until = self.state().until
        if until is None:
            return ()
        message = (
            f"the others know that this node may be away until {human_date(until)}: they wait for it, and give it no"
            " new data"
        )
        return (Warning(kind="maintenance", message=message, advice="'p2pnode maintenance --end' takes it back."),)
