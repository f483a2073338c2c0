"""Invariant 6: nobody can make a node keep or run more than a named limit.

The objects of a running node are walked: every dictionary, list, set and queue that an object of ours has as an
attribute must be within the limit that is named for it here, or within UNNAMED_MAX. So a table that grows and is not
named is found as well as one that has lost its bound. Tasks and streams are counted too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sized
from types import FunctionType, MethodType

from p2pnode.membership import contact as contacts_kept
from p2pnode.membership import newcomers
from p2pnode.network import limits as network_limits
from p2pnode.protocols import (
    audit_receipts,
    audit_schedule,
    commitments,
    entry_tree,
    gossip,
    heads,
    inconsistency,
    prover_budget,
    reach,
    sync,
)
from p2pnode.protocols.repair import budget, intents
from p2pnode.reputation import passed, reproaches, scores
from p2pnode.services import announce, burying, claims, contacts, events, health, herald, losses, recover
from p2pnode.storage import collection, page_memory, page_store, recordfile
from p2pnode.storage.page_memory import ReadPage
from testnet.sim.judges.judgement import JudgementError
from testnet.sim.machine import Machine
from testnet.sim.world import World
from wire import limits

NAME = "limits-held"

UNNAMED_MAX = 64
"""What a table may have that is not named here."""

NODES_PER_CHECK_MAX = 2
"""Nodes that are walked in one check, chosen by chance: in a large world each knows a thousand others."""

STREAMS_WITH_PEER_MAX = 2 * (network_limits.REQUESTS_PER_PEER_MAX + network_limits.IDLE_STREAMS_PER_PEER_MAX)
"""Streams between two honest nodes: each side asks so many questions at a time, and keeps so many streams for more."""

SERVICE_TASKS_MAX = 64
"""Tasks of a node that nobody talks to: one for each of its services, and what they do beside."""

TASKS_PER_STREAM_MAX = 3
"""A stream that is served has a task, and may have one for each direction."""

_DIALS_AND_LOOKUPS = contacts.DIALS_AT_ONCE + contacts.LOOKUPS_AT_ONCE
_DIRECTORIES = 2 * 256
"""Two trees, each with a directory for each first byte of a name."""
_PAGES = 1_000
"""What is kept in memory of pages that a node has a part in: its store bounds them, and a scenario has no more."""

TABLES: dict[str, int] = {
    "AccountedFiles._directories": _DIRECTORIES + 2,
    "Announcer._heard": announce.HEARD_MAX,
    "Announcer._pending": announce.PENDING_MAX,
    "AuditSchedule._regular": limits.MEMBERS_KEPT_MAX,
    "AuditSchedule._soon": audit_schedule.SOON_MAX,
    "AuditSchedule._waiting": limits.MEMBERS_KEPT_MAX,
    "Burier._pending": burying.PENDING_TOMBSTONES_MAX,
    "Catalogue._records": limits.OWNED_RECORDS_MAX,
    "CheckBudget._accounts": sync.PAYERS_MAX,
    "ClaimAuditor._again_at": claims.SIGNERS_MAX,
    "ClaimAuditor._waiting": claims.SIGNERS_MAX,
    "CommitmentBook._signers": limits.MEMBERS_KEPT_MAX,
    "CommitteeDigests._counts": limits.MEMBERS_KEPT_MAX,
    "CommitteeDigests._sums": limits.MEMBERS_KEPT_MAX,
    "Contacts._absent": limits.MEMBERS_KEPT_MAX,
    "Contacts._busy": limits.MEMBERS_KEPT_MAX,
    "Contacts._circle": contacts.CONNECTIONS_WANTED,
    "Contacts._connected": network_limits.CONNECTIONS_MAX,
    "Contacts._greet_at": network_limits.CONNECTIONS_MAX,
    "Contacts._hints": contacts.HINTS_MAX,
    "Contacts._looking": contacts.LOOKUPS_AT_ONCE,
    "Convictions._kept": limits.EVIDENCE_KEPT_MAX,
    "DialBackBudget._askers": reach.ASKERS_MAX,
    "Drainer._failed": _PAGES,
    "Drainer._pages": _PAGES,
    "Drainer._proven": _PAGES,
    "EntryTree._buckets": entry_tree.BUCKETS,
    "Engine._directories": _DIRECTORIES,
    "Engine.ceilings": recordfile.PURPOSES_MAX,
    "Engine.changed_pages": page_store.CHANGED_PAGES_MAX,
    "Engine.unwanted": 2 * collection.COLLECT_PAIRS_MAX,
    "Events._kept": events.EVENTS_KEPT_MAX,
    "GossipGate._signers": gossip.SIGNERS_MAX,
    "GatheredAudits._gathered": audit_receipts.PEERS_MAX,
    "GatheredAudits._since": audit_receipts.PEERS_MAX,
    "GivenAnswers._answers": audit_receipts.ANSWERS_MAX,
    "HealthView._over": health.SIGNERS_MAX,
    "HealthView._patience": health.SIGNERS_MAX,
    "HealthView._told": health.TOLD_MAX,
    "Herald._contested": herald.PEERS_MAX,
    "Herald._told": herald.PEERS_MAX,
    "IntentBook._losses": intents.LOSSES_MAX,
    "_Lane._queues": newcomers.CHOSEN_WAITING_MAX,
    "LossTeller._heard": losses.HEARD_MAX,
    "LossTeller._told_at": losses.TOLD_MAX,
    "LossTeller._waiting": losses.TOLD_MAX,
    "Member.worked": contacts_kept.WORKED_ADDRESSES_MAX,
    "MemberRecord.addresses": limits.ADDRESSES_MAX,
    "MemberTable._counted_tags": limits.MEMBERS_KEPT_MAX,
    "MemberTable._domains": limits.MEMBERS_KEPT_MAX + 1,  # Our own too.
    "MemberTable._in_order": limits.MEMBERS_KEPT_MAX,
    "MemberTable._members": limits.MEMBERS_KEPT_MAX,
    "MemberTable.condemned": limits.EVIDENCE_KEPT_MAX,
    "Notices._barred": inconsistency.BARRED_MAX,
    "Newcomers._barred": newcomers.BARRED_MAX,
    "Newcomers._waiting": newcomers.CHOSEN_WAITING_MAX + newcomers.STRANGERS_WAITING_MAX,
    "OwnerServer._heads": heads.HEADS_KEPT_MAX,
    "PageMemory._pages": page_memory.PAGES_MAX,
    "PassedAudits._passed": passed.BLOBS_MAX,
    "PayloadSlots._lines": network_limits.REQUESTS_SERVED_MAX,
    "_Peer.kept": network_limits.IDLE_STREAMS_PER_PEER_MAX,
    "ProverBudget._askers": prover_budget.ASKERS_MAX,
    "_Queue._waiting": network_limits.REQUEST_STREAMS_PER_PEER_MAX * network_limits.CONNECTIONS_MAX,
    "ReceiptBook._kept": audit_receipts.PEERS_MAX,
    "ReceiptChanges.gone": audit_receipts.RECEIPTS_MAX,
    "ReceiptChanges.new": audit_receipts.RECEIPTS_MAX,
    "Recoverer._unfinished": recover.UNFINISHED_MAX,
    "Redials._targets": limits.MEMBERS_KEPT_MAX + contacts.HINTS_MAX,
    "RefusedRecords._until": sync.REFUSED_REMEMBERED_MAX,
    "RelayingService._refused_at": network_limits.CONNECTIONS_MAX,
    "Repairer._ailing": _PAGES,
    "Repairer._dirty": _PAGES,
    "Repairer._failures": _PAGES,
    "Reproaches._last": reproaches.REPROACHES_MAX,
    "Requester._peers": network_limits.IDLE_STREAMS_MAX + network_limits.REQUESTS_MAX,
    "Scores._peers": scores.SCORES_MAX,
    "_Seen.presences": limits.MEMBERS_KEPT_MAX,
    "SecretSheet._secrets": commitments.SECRETS,
    "ServedSymbols._served": budget.SERVED_MAX,
    "SyncSchedule._due": network_limits.CONNECTIONS_MAX,
    "_Watched.presences": limits.MEMBERS_KEPT_MAX,
}
"""The limit of each table, by its class and attribute. It is read when the judge looks, so that a test may lower it."""

UNDER_WAY = {
    "PairRecovery._symbols": 2 * limits.SHARDS_MAX,
    "PairRecovery.bad": 2 * limits.SHARDS_MAX,
}
"""The same of what a node has only while it does something: each shard may give a symbol in either direction."""

_BOUNDED_BY_BYTES = (ReadPage,)
"""What is not entered: whoever keeps it counts its bytes, and walking it would take longer than all else."""

_slots: dict[type, tuple[tuple[str, str], ...] | None] = {}
"""What `_named_slots` has said, by class: it is asked for each object at each check."""

_OUR_PACKAGES = frozenset({"p2pnode", "wire", "crypto"})
_ATOMS = (str, bytes, int, float, type(None), type)


class LimitJudge:
    """Watches a world."""

    name = NAME

    def __init__(self, world: World) -> None:
        """Judge running honest nodes at each check."""
        self._world = world
        self._rng = world.generator("judges/tables")

    def check(self) -> int:
        """Walk some nodes. Returns how many tables were looked at. Raises `JudgementError`."""
        honest = [each for each in self._world.running() if each.is_ready and self._world.is_honest(each.name)]
        chosen = self._rng.sample(honest, min(NODES_PER_CHECK_MAX, len(honest)))
        return sum(self._check_tables(each) for each in chosen) + sum(self._check_streams(each) for each in honest)

    def _check_tables(self, machine: Machine) -> int:
        assert machine.life is not None
        count = 0
        for table, size in tables_of(machine.node, *machine.life.network.handlers):
            count += 1
            most = TABLES.get(table, UNDER_WAY.get(table, UNNAMED_MAX))
            if size > most:
                what = f"{table} has {size} entries, {most} are allowed"
                raise JudgementError(NAME, what, node=machine.name, subject=table)
        return count

    def _check_streams(self, machine: Machine) -> int:
        assert machine.life is not None
        streams = machine.life.network.open_streams()
        honest = {each.peer_id for each in self._world.machines.values() if self._world.is_honest(each.name)}
        for peer_id, count in streams.items():
            if peer_id in honest and count > STREAMS_WITH_PEER_MAX:
                what = f"{count} streams are open with one peer, {STREAMS_WITH_PEER_MAX} are allowed"
                raise JudgementError(NAME, what, node=machine.name, subject="streams")
        tasks = machine.life.service_tasks()
        most = SERVICE_TASKS_MAX + _DIALS_AND_LOOKUPS + len(streams) + TASKS_PER_STREAM_MAX * sum(streams.values())
        if tasks > most:
            what = f"{tasks} tasks run with {sum(streams.values())} streams open, {most} are allowed"
            raise JudgementError(NAME, what, node=machine.name, subject="tasks")
        return len(streams)


def tables_of(*roots: object) -> Iterator[tuple[str, int]]:
    """Yield each table that is reached from these objects, by class and attribute, with its size.

    Only objects of ours are entered, what they contain, and the functions and methods that they keep.
    """
    seen: set[int] = set()  # Only asked for, never gone through.
    stack: list[tuple[str, object]] = [("", root) for root in roots]
    while stack:
        name, found = stack.pop()
        if isinstance(found, tuple) and name in TABLES:
            yield name, len(found)  # Before it is known: there is one empty tuple for all.
        if isinstance(found, _ATOMS) or id(found) in seen:
            continue
        seen.add(id(found))
        if isinstance(found, dict | list | set | frozenset | tuple | deque):
            if not isinstance(found, tuple):
                yield name, len(found)
            # A table inside a table is held by its own entry: it has no name of its own.
            stack += [(f"{name}[]", each) for each in _entries(found)]
        else:
            stack += _parts(found)


def _entries(table: Sized) -> list[object]:
    if isinstance(table, dict):
        return [each for each in table.values() if not isinstance(each, _ATOMS)]
    assert isinstance(table, list | set | frozenset | tuple | deque)
    return [each for each in table if not isinstance(each, _ATOMS)]


def _parts(found: object) -> list[tuple[str, object]]:
    if isinstance(found, MethodType):
        return [("", found.__self__)]
    if isinstance(found, FunctionType):
        is_ours = found.__module__.partition(".")[0] in _OUR_PACKAGES
        return [("", cell.cell_contents) for cell in (found.__closure__ or () if is_ours else ())]
    kind = type(found)
    if kind not in _slots:
        _slots[kind] = _named_slots(kind)
    slots = _slots[kind]
    if slots is None:
        return []
    parts = [(f"{kind.__name__}.{name}", part) for name, part in getattr(found, "__dict__", {}).items()]
    return parts + [(name, getattr(found, slot, None)) for slot, name in slots]


def _named_slots(kind: type) -> tuple[tuple[str, str], ...] | None:
    """Return the slots of a class of ours and the names of what is in them; None for a class that is not entered."""
    if kind.__module__.partition(".")[0] not in _OUR_PACKAGES or kind in _BOUNDED_BY_BYTES:
        return None
    found: dict[str, None] = {}
    for each in kind.__mro__:
        slots = each.__dict__.get("__slots__", ())
        found.update(dict.fromkeys((slots,) if isinstance(slots, str) else slots))
    return tuple((slot, f"{kind.__name__}.{slot}") for slot in found)
