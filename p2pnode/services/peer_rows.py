"""The members that this node knows, as it shows them to people and programs."""

from __future__ import annotations

from crypto.peer_id import peer_id_to_text
from p2pnode.membership.liveness import Liveness
from p2pnode.services.audit_receipts import AuditReceipts
from p2pnode.services.context import Context
from p2pnode.services.membership import Membership
from p2pnode.services.results import PeerStatus
from wire.records import MemberState


def peer_rows(context: Context, membership: Membership, receipts: AuditReceipts) -> tuple[PeerStatus, ...]:
    """Return one row for each member, in the order of their ids."""
    now, wall = context.clock.monotonic(), context.clock.wall()
    connected = frozenset(each.peer_id for each in context.network.connected())
    rows = []
    domains = membership.domains()
    for peer_id, member in membership.table.members():
        record = member.record
        state = membership.liveness(peer_id)
        said = MemberState(record.state)
        score, tally = context.scores.of(peer_id), receipts.tally(peer_id)
        speaks_for_itself = state in (Liveness.ACTIVE, Liveness.SUSPECT) and said is not MemberState.ACTIVE
        rows.append(
            PeerStatus(
                peer_id=peer_id_to_text(peer_id),
                state=said.name.lower() if speaks_for_itself else state.value,
                addresses=record.addresses,
                connected=peer_id in connected,
                seconds_since_contact=None if member.contact_at is None else now - member.contact_at,
                fresh=membership.table.is_fresh(peer_id, now=now),
                capacity_bytes=record.capacity_bytes,
                free_bytes=record.free_bytes,
                software=record.software,
                score=round(score.value, 3),
                trust=score.trust.value,
                domain=domains[peer_id],
                vetted=membership.table.is_vetted(peer_id, wall=wall),
                receipts_of_it=tally.of_it,
                receipts_by_it=tally.by_it,
            )
        )
    return tuple(rows)
