"""Our own member record: signed anew when it is time, and when something of it is wrong by now."""

from __future__ import annotations

import trio

from p2pnode.membership.notice import Notice
from p2pnode.protocols.members import OwnFacts, make_member_record
from p2pnode.services.context import Context
from p2pnode.services.restoring import Restoration
from wire import limits
from wire.records import MemberRecord
from wire.signed import Signed


class OwnMemberRecord:
    """The newest record that we have signed of ourselves."""

    def __init__(self, context: Context, facts: OwnFacts, restoration: Restoration) -> None:
        """Nothing is signed before `renew`; `restoration` gives the numbers."""
        self._context = context
        self._facts = facts
        self._restoration = restoration
        self._signed: Signed[MemberRecord] | None = None
        self._turn = trio.Lock()
        self.notice = Notice()
        """What the next record says of our comings and goings."""

    @property
    def signed(self) -> Signed[MemberRecord]:
        """The record; there is one once `renew` has returned."""
        assert self._signed is not None
        return self._signed

    @property
    def is_wrong(self) -> bool:
        """Whether our addresses, or what we say of our comings and goings, are others than the record says."""
        context, record = self._context, self.signed.record
        addresses = tuple(context.network.addresses()[: limits.ADDRESSES_MAX])
        said = self.notice.said(wall=context.wall_seconds())
        return (addresses, *said) != (record.addresses, record.state, record.state_until)

    async def renew(self) -> None:
        """Sign a new record, with a number that nobody has seen. Raises `LocalStorageError`."""
        context = self._context
        async with self._turn:  # The one with the larger number must be the one that stays.
            sequence = await self._restoration.next_number()
            usage, time = context.store.usage(), context.wall_seconds()
            self._signed = make_member_record(
                context.identity,
                self._facts,
                sequence=sequence,
                time=time,
                addresses=context.network.addresses(),
                capacity_bytes=usage.quota_bytes,
                free_bytes=usage.quota_bytes - usage.used_bytes - usage.reserved_bytes,
                said=self.notice.said(wall=time),
            )
