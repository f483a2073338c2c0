"""One node: the place that builds objects and joins them. Everything it is made of comes in through the seams."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from functools import partial

import trio

from crypto.peer_id import peer_id_to_text
from p2pnode import __version__
from p2pnode.network import requests
from p2pnode.network.bandwidth import Meter
from p2pnode.network.payload_slots import PayloadSlots
from p2pnode.network.requests import Requester
from p2pnode.protocols.plan import plan_storage
from p2pnode.seams import Clock, Files, Network, Offload, OnRunning, Rng, Stream, StreamHandler
from p2pnode.services import (
    evidence,
    keep,
    membership,
    owner_server,
    prove,
    reach,
    serve_reads,
    serve_repair,
    sync,
    take_over,
)
from p2pnode.services.absence import Absence
from p2pnode.services.announce import Announcer
from p2pnode.services.audit import Auditor
from p2pnode.services.certified import known_certificate, records_about
from p2pnode.services.collect import collect_regularly
from p2pnode.services.commitments import CommitmentService
from p2pnode.services.context import Context
from p2pnode.services.drain import Drainer
from p2pnode.services.events import Events
from p2pnode.services.evidence import EvidenceService
from p2pnode.services.get import Getter
from p2pnode.services.health import HealthView
from p2pnode.services.keep import Keeper
from p2pnode.services.membership import Membership
from p2pnode.services.node_config import NodeConfig
from p2pnode.services.nursery import open_nursery
from p2pnode.services.owner_face import NO_OPTIONS, NodeStatus, OwnedThing, PutOptions, Removed, Renewed, ScrubState
from p2pnode.services.ownership import Ownership
from p2pnode.services.peer_rows import peer_rows
from p2pnode.services.peers import Answer, Handler, Peers, after, answer_or_refuse, by_kind
from p2pnode.services.prove import Prover
from p2pnode.services.put import Putter
from p2pnode.services.quota import QuotaControl
from p2pnode.services.reach import PortMapper, ReachService
from p2pnode.services.relaying import RelayingService
from p2pnode.services.repair import Repairer
from p2pnode.services.results import (
    Audited,
    BlobStatus,
    Download,
    KnownCertificate,
    NodeInfo,
    PeerStatus,
    PutResult,
    ReachReport,
    RepairReport,
    StoragePlan,
)
from p2pnode.services.retract import Retractor
from p2pnode.services.scrub import Scrubber
from p2pnode.services.serve_reads import ReadServer
from p2pnode.services.stat import Statistician
from p2pnode.services.status import why_of
from p2pnode.services.sync import SyncService
from p2pnode.services.take_over import Taker
from p2pnode.services.traffic import TrafficLog
from p2pnode.services.trash import Trash
from p2pnode.storage.owner_store import OwnerStore
from p2pnode.storage.store import SliverStore
from wire.ids import PeerId
from wire.records import MemberRecord
from wire.references import Reference

_log = logging.getLogger(__name__)

PROTOCOLS = "store", "read", "members", "reach", "owner", "sync", "audit", "repair"
STORE, READ, MEMBERS, REACH, OWNER, SYNC, AUDIT, REPAIR = PROTOCOLS
"""Our protocols by their short names."""


class Node:
    """A node, built on its five seams; the same class runs in production and in the simulator."""

    def __init__(
        self,
        config: NodeConfig,
        *,
        network: Network,
        clock: Clock,
        rng: Rng,
        files: Files,
        offload: Offload,
        port_mapper: PortMapper | None = None,
        meter: Meter | None = None,
    ) -> None:
        """Nothing happens before `run`. Without a `port_mapper` no router is asked for anything.

        The `meter` is the one that the network counts with.
        """
        self._meter = meter or Meter(wall=clock.wall)
        self._config = config
        self._network = network
        self._clock = clock
        self._rng = rng
        self._files = files
        self._offload = offload
        self._port_mapper = port_mapper
        self._started_at = clock.monotonic()
        self.events = Events(clock)

    async def run(self, *, task_status: OnRunning) -> None:
        """Open the store, listen and serve until cancelled; started once the node can put and get."""
        config = self._config
        store = await SliverStore.open(
            self._files,
            self._offload,
            self._clock,
            quota_bytes=config.quota_bytes,
            trash_s=config.profile.trash_s,
            disk_free_min_bytes=config.disk_free_min_bytes,
        )
        owner_store = await OwnerStore.open(self._files, self._offload)
        requester = Requester(self._network, self._clock, self._config.profile)
        try:
            self._build(store, owner_store, requester)
            await self._membership.prepare()
            await self.ownership.load()
            await self._traffic.load()
            await self.evidence.load()
            await self._auditor.load()
            await self.drain.load()
            await self._scrubber.load()
            async with open_nursery() as nursery:
                await nursery.start(self._network.run)
                await nursery.start(self._membership.run)
                nursery.start_soon(self._announcer.run)
                nursery.start_soon(self._reach.run)
                nursery.start_soon(self._relaying.run)
                nursery.start_soon(self._traffic.run)
                nursery.start_soon(self._retractor.run)
                nursery.start_soon(self.drain.run)
                nursery.start_soon(self._scrubber.run)
                nursery.start_soon(self._sync.run)
                nursery.start_soon(self.evidence.run)
                if self._config.repairs:
                    nursery.start_soon(self._repairer.run)
                if self._config.profile.audit_every_s:
                    nursery.start_soon(self._auditor.run)
                    nursery.start_soon(self.commitments.run)
                nursery.start_soon(collect_regularly, self._context, self._membership.table)
                if self._config.minds_own_things:
                    nursery.start_soon(self.ownership.run)
                task_status.started()
        finally:
            with trio.CancelScope(deadline=trio.current_time() + CLOSE_TIMEOUT_S, shield=True):
                await requester.aclose()
                await self._auditor.receipts.save()
                await store.close()
                await self._traffic.save()
                await owner_store.close()

    def _build(self, store: SliverStore, owner_store: OwnerStore, requester: Requester) -> None:
        config = self._config
        names = config.names()
        protocols = {name: names.protocol(name) for name in PROTOCOLS}
        peers = Peers(requester, self._network.peer_id, protocols)
        self._store = store
        self.trash = Trash(store)
        self.quota = QuotaControl(store, self.events)
        self._context = context = Context(
            identity=config.identity,
            owner=config.owner,
            predecessors=config.predecessors,
            names=names,
            profile=config.profile,
            network=self._network,
            clock=self._clock,
            rng=self._rng,
            offload=self._offload,
            store=store,
            peers=peers,
        )
        self._membership = Membership(context, bootstrap=config.bootstrap, facts=config.facts())
        self.absence = Absence(context, self._membership, self.events)
        self._reach = ReachService(
            context,
            record_of=self._record_of,
            has_announced=config.has_announced,
            port_mapper=self._port_mapper,
        )
        self._relaying = RelayingService(context, self._membership.table, reach=lambda: self._reach.found)
        self._retractor = Retractor(context)
        table = self._membership.table
        self.commitments = CommitmentService(context, table)
        self.evidence = EvidenceService(context, table, self.events, self.commitments)
        self.evidence.subscribe()
        self._auditor = Auditor(context, table, self.evidence, self.commitments, is_frozen=self._membership.is_frozen)
        self._announcer = Announcer(context, on_written=self._auditor.certified)
        self._announcer.subscribe()
        health = HealthView(context, self._membership)
        self._repairer = Repairer(context, self._membership, health, self._announcer, self._auditor, self.events)
        self._scrubber = Scrubber(context, owner_store, self.events, restored=self._membership.restoration.found)
        self._taker = Taker(context, self._membership, health, self._announcer, metadata=self._repairer.metadata)
        self.drain = Drainer(
            context,
            self._membership,
            health,
            self._auditor,
            self._retractor,
            store=owner_store,
            events=self.events,
        )
        self._sync = SyncService(context, self._membership, self._retractor, on_changed=self._repairer.changed)
        putter = Putter(context, self._membership, self._announcer)
        self._getter = Getter(context, self._membership, self._announcer)
        self._statistician = Statistician(context, self._membership, self._getter)
        self.ownership = Ownership(
            context,
            store=owner_store,
            membership=self._membership,
            announcer=self._announcer,
            putter=putter,
            getter=self._getter,
            statistician=self._statistician,
            events=self.events,
        )
        self._traffic = TrafficLog(self._meter, owner_store, self._clock)
        self._serve(self._routes(context), peers, protocols)

    def _routes(self, context: Context) -> Mapping[str, Mapping[tuple[type, ...], Handler]]:
        """Return who answers each kind of request of each protocol."""
        keeper = Keeper(context, self._membership.table, on_certified=self._auditor.certified)
        prover = Prover(context, self._membership.table, self._retractor, self.commitments, self._auditor.receipts)
        # What signs numbers, or places pairs, waits for our own record, numbered above all that others know.
        numbered = self._membership.has_record
        audits: dict[tuple[type, ...], Handler] = {
            prove.REQUESTS: after(numbered, prover.answer),
            evidence.REQUESTS: self.evidence.answer,
        }
        return {
            STORE: {keep.REQUESTS: after(numbered, keeper.answer)},
            READ: {serve_reads.REQUESTS: ReadServer(context, made=self._repairer.rescuer.sliver).answer},
            MEMBERS: {membership.REQUESTS: self._membership.answer},
            REACH: {reach.REQUESTS: self._reach.answer},
            OWNER: {owner_server.REQUESTS: self.ownership.server.answer},
            SYNC: {sync.REQUESTS: after(numbered, self._sync.answer)},
            AUDIT: audits,
            REPAIR: {
                serve_repair.REQUESTS: after(numbered, self._repairer.server.answer),
                take_over.REQUESTS: after(numbered, self._taker.answer),
            },
        }

    def _serve(
        self, served: Mapping[str, Mapping[tuple[type, ...], Handler]], peers: Peers, protocols: Mapping[str, str]
    ) -> None:
        """Let each protocol be answered, ourselves included, by the handler of each kind of request."""
        slots = PayloadSlots(bytes_per_s_min=self._config.profile.bytes_per_s_min)
        for name, routes in served.items():
            handler = by_kind(routes)
            peers.serve_locally(name, handler)
            accepts = tuple(kind for kinds in routes for kind in kinds)
            self._network.handle(protocols[name], self._server(handler, accepts, slots))

    def _record_of(self, peer_id: PeerId) -> MemberRecord | None:
        member = self._membership.table.get(peer_id)
        return None if member is None else member.record

    def _server(self, handler: Handler, accepts: tuple[type, ...], slots: PayloadSlots) -> StreamHandler:
        async def answer(peer_id: PeerId, message: object, payload: bytes) -> Answer:
            answered = await answer_or_refuse(handler, peer_id, message, payload)
            self._membership.heard(peer_id)  # Afterwards: by its first greeting a newcomer becomes a member.
            return answered

        async def serve(stream: Stream) -> None:
            await requests.serve_requests(stream, answer, accepts=accepts, slots=slots)

        return serve

    async def put(
        self,
        source: AsyncIterator[bytes],
        *,
        shards: int | None,
        size: int | None,
        options: PutOptions = NO_OPTIONS,
    ) -> PutResult:
        """See `NodeFace`."""
        return await self.ownership.put(source, shards=shards, size=size, options=options)

    def get(self, reference: Reference) -> AbstractAsyncContextManager[Download]:
        """See `NodeFace`."""
        return self._getter.open(reference)

    async def stat(self, reference: Reference) -> BlobStatus:
        """See `NodeFace`."""
        return await self._statistician.stat(reference)

    async def owned(self, *, with_removed: bool = False) -> list[OwnedThing]:
        """See `NodeFace`."""
        return await self.ownership.things(with_removed=with_removed)

    async def renew(self, reference: Reference, *, keep_for_s: int | None = None) -> Renewed:
        """See `NodeFace`."""
        return await self.ownership.renew(reference, keep_for_s=keep_for_s)

    async def remove(self, reference: Reference) -> Removed:
        """See `NodeFace`."""
        return await self.ownership.remove(reference)

    async def status(self) -> NodeStatus:
        """See `NodeFace`."""
        found = await self.ownership.status(self.info(), self.reach(), self._traffic.traffic)
        why = why_of(self.evidence.against_us(), self.evidence.reproaches())
        told = (*why, *self.absence.warnings(), *self.drain.warnings(), *self._scrubber.warnings())
        return replace(found, warnings=(*told, *found.warnings))

    async def plan(self, size: int, *, shards: int | None) -> StoragePlan:
        """See `NodeFace`."""
        return await self._offload.run(partial(plan_storage, shards=shards), size, self._membership.candidates())

    def peers(self) -> tuple[PeerStatus, ...]:
        """See `NodeFace`."""
        return peer_rows(self._context, self._membership, self._auditor.receipts)

    def repairs(self) -> RepairReport:
        """See `NodeFace`."""
        return self._repairer.report()

    def scrub(self) -> ScrubState:
        """See `NodeFace`."""
        return self._scrubber.state()

    def refused(self) -> dict[str, int]:
        """See `NodeFace`."""
        return self._context.refusals.counts()

    def info(self) -> NodeInfo:
        """See `NodeFace`."""
        usage, committed = self._store.usage(), self.commitments.latest
        own = peer_id_to_text(self._network.peer_id)
        return NodeInfo(
            peer_id=own,
            network=self._config.network_name,
            profile=self._config.profile.name,
            addresses=tuple(f"{address}/p2p/{own}" for address in self._network.addresses()),
            version=__version__,
            members=self._membership.fresh_count(),
            connected=len(self._network.connected()),
            quota_bytes=usage.quota_bytes,
            used_bytes=usage.used_bytes,
            uptime_s=self._clock.monotonic() - self._started_at,
            reach=self._reach.report().reach,
            frozen=self._membership.is_frozen(),
            restored=self._membership.is_restored,
            committed_epoch=None if committed is None else committed.epoch,
            committed_pairs=None if committed is None else committed.count,
        )

    async def audit(self, peer_id: PeerId) -> Audited:
        """See `NodeFace`."""
        return await self._auditor.audit(peer_id)

    async def audit_holders(self, reference: Reference) -> list[Audited]:
        """See `NodeFace`."""
        return await self._auditor.audit_holders(await records_about(self._getter, reference))

    async def certificate(self, reference: Reference) -> KnownCertificate:
        """See `NodeFace`."""
        return await known_certificate(self._getter, reference, network=self._config.network_name)

    def hint(self, address: str) -> None:
        """Dial a multiaddr that ends in a peer id, which was heard of nearby; it proves nothing."""
        self._membership.contacts.hint(address)

    def reach(self) -> ReachReport:
        """See `NodeFace`."""
        return self._reach.report()

    async def check_reach(self) -> ReachReport:
        """See `NodeFace`."""
        return await self._reach.check()


CLOSE_TIMEOUT_S = 2.0
"""How long a node that stops waits for its streams and its database."""
