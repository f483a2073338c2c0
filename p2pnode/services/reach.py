"""Finding out whether others can reach us: asking peers to dial us back, and dialling back for them.

The rules stand in `p2pnode/protocols/reach.py`. What is found decides which addresses are announced beside our own:
that of a port which a router opened for us, or else one at which peers see us and could dial us.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import trio

from crypto.peer_id import peer_id_to_text
from p2pnode.errors import P2PNodeError, PeerSilentError, PeerUnavailableError
from p2pnode.membership.circuit_addresses import is_circuit
from p2pnode.membership.domains import domain_of
from p2pnode.protocols.reach import (
    DialBackBudget,
    MappingState,
    Origin,
    PortMapping,
    Reach,
    Sighting,
    Tally,
    advice,
    confirmed_ips,
    count_outcomes,
    may_dial_back,
    observed_candidates,
    one_a_domain,
    overall,
    worth_checking,
)
from p2pnode.protocols.refusal import RefusalError
from p2pnode.services.context import Context
from p2pnode.services.nursery import open_nursery
from p2pnode.services.peers import Answer
from p2pnode.services.results import AddressReach, ReachReport
from wire.ids import PeerId
from wire.messages import DialBack, DialledBack, DialOutcome, RefusalCode
from wire.records import MemberRecord

log = logging.getLogger(__name__)

REQUESTS = (DialBack,)
"""The requests of the `reach` protocol."""

LOOK_EVERY_S = 2.0
"""How often it is looked at whether a check is due or our addresses have changed."""

LOOK_SELDOM_S = 10.0
"""The same once a check has found that others can dial us."""

CHECK_EVERY_S = 3600.0
"""How often a node that can be reached makes sure of it."""

RECHECK_S = 600.0
"""How soon it is checked again when too few peers answered, or none got through: a router may have been set up."""

RETRY_S = 30.0
"""How soon it is checked again when nobody could say anything."""

FRESH_S = 5.0
"""A check on demand returns the last result when it is younger: the peers' budgets are not for impatience."""

ANSWER_S = 12.0
"""How long dialling back for one asker may take in all; below what the asker waits for."""

DIALS_AT_ONCE = 8
"""Dials on behalf of others under way at a time, over all askers."""

DIALS_PER_ASKER_AT_ONCE = 2
"""Few: each is one more connection at the asker for a moment, and it has room for four with one peer."""

PEERS_ANSWERED_WANTED = 3
"""With fewer answers the check is soon repeated: one peer alone may be wrong."""


class PortMapper(Protocol):
    """Asks the router to open a port for us."""

    @property
    def mapping(self) -> PortMapping:
        """How it is doing now."""
        ...

    async def run(self, addresses: Callable[[], Sequence[str]]) -> None:
        """Map a port of these addresses of ours, keep it mapped, and give it back when cancelled; never raises."""
        ...


@dataclass(frozen=True, slots=True)
class _Found:
    """The result of one check."""

    at: float
    tallies: tuple[Tally, ...] = ()
    asked: int = 0
    answered: int = 0
    seen_at: tuple[str, ...] = ()

    @property
    def reach(self) -> Reach:
        return overall(self.tallies)


_NO_MAPPING = PortMapping(state=MappingState.OFF, detail="switched off")


class ReachService:
    """Both sides of the `reach` protocol."""

    def __init__(
        self,
        context: Context,
        *,
        record_of: Callable[[PeerId], MemberRecord | None],
        has_announced: bool,
        port_mapper: PortMapper | None,
    ) -> None:
        """`record_of` returns a member's newest record; with `has_announced` the user named our addresses."""
        self._context = context
        self._record_of = record_of
        self._has_announced = has_announced
        self._mapper = port_mapper
        self._budget = DialBackBudget()
        self._slots = trio.CapacityLimiter(DIALS_AT_ONCE)
        self._checking = trio.Lock()
        self._found: _Found | None = None
        self._due_at = 0.0
        self._checked: tuple[str, ...] = ()
        self._observed: tuple[str, ...] = ()
        self._said: Reach = Reach.UNKNOWN

    # For others.

    async def answer(self, peer_id: PeerId, message: object, payload: bytes) -> Answer:
        """Dial the asker back. Raises `RefusalError`."""
        del payload
        if not isinstance(message, DialBack):
            raise RefusalError(RefusalCode.INVALID, f"{type(message).__name__} is no request to dial back")
        places = self._context.network.seen_at(peer_id)
        record = self._record_of(peer_id)
        seen_ips = frozenset(place.split("/")[2] for place in places)
        allowed = {
            address
            for address in message.addresses
            if may_dial_back(
                address,
                seen_ips=seen_ips,
                record=() if record is None else record.addresses,
                allows_private=self._context.profile.dials_private_addresses,
            )
        }
        if not self._budget.take(bytes(peer_id), len(allowed), now=self._context.clock.monotonic()):
            raise RefusalError(RefusalCode.BUSY, "too many addresses were dialled on request within the last minute")
        outcomes = dict.fromkeys(message.addresses, DialOutcome.NOT_TRIED)
        asker_slots = trio.CapacityLimiter(DIALS_PER_ASKER_AT_ONCE)
        with trio.move_on_after(ANSWER_S):
            async with open_nursery() as nursery:
                for address in sorted(allowed):
                    nursery.start_soon(self._dial_back, peer_id, address, outcomes, asker_slots)
        told = tuple(outcomes[address] for address in message.addresses)
        return DialledBack(outcomes=told, seen_at=places[0] if places else ""), ()

    async def _dial_back(
        self, peer_id: PeerId, address: str, outcomes: dict[str, DialOutcome], asker_slots: trio.CapacityLimiter
    ) -> None:
        async with asker_slots, self._slots:
            try:
                await self._context.network.dial_back(peer_id, address)
                outcomes[address] = DialOutcome.REACHED
            except PeerSilentError:
                outcomes[address] = DialOutcome.SILENT
            except PeerUnavailableError as error:
                log.debug("dialling back: %s", error)
                outcomes[address] = DialOutcome.REFUSED

    # For us.

    async def run(self) -> None:
        """Check when it is due, and keep the port mapped, until cancelled."""
        async with open_nursery() as nursery:
            if self._mapper is not None:
                nursery.start_soon(self._mapper.run, self._listened)
            while True:
                await self._context.clock.sleep(LOOK_SELDOM_S if self.found is Reach.YES else LOOK_EVERY_S)
                self._announce()
                if self._is_due():
                    await self._check_quietly()

    @property
    def found(self) -> Reach:
        """What the last check found; UNKNOWN before it."""
        return Reach.UNKNOWN if self._found is None else self._found.reach

    def report(self) -> ReachReport:
        """Return what the last check found."""
        found = self._found or _Found(at=0.0)
        mapping = self._mapping
        listened = self._listened()
        return ReachReport(
            reach=found.reach.value,
            addresses=tuple(
                AddressReach(
                    address=tally.address,
                    origin=tally.origin.value,
                    reach=tally.reach.value,
                    reached_by=tally.reached,
                    tried_by=tally.tried,
                )
                for tally in found.tallies
            ),
            peers_asked=found.asked,
            peers_answered=found.answered,
            seen_at=found.seen_at,
            port_mapping=mapping.state.value,
            port_mapping_detail=mapping.detail,
            advice=advice(
                found.reach,
                answered=found.answered,
                has_announced=self._has_announced,
                mapping=mapping,
                listened=listened,
            ),
            seconds_since_check=None if self._found is None else self._context.clock.monotonic() - found.at,
        )

    async def check(self) -> ReachReport:
        """Ask peers now, and return what came of it; a check that has just ended is not repeated."""
        async with self._checking:
            now = self._context.clock.monotonic()
            if self._found is None or now - self._found.at >= FRESH_S:
                await self._check()
        return self.report()

    def _is_due(self) -> bool:
        if not self._context.network.connected():
            return False
        now = self._context.clock.monotonic()
        if self._found is not None and now - self._found.at < FRESH_S:
            return False
        return now >= self._due_at or self._context.network.addresses() != self._checked

    async def _check_quietly(self) -> None:
        try:
            async with self._checking:
                if self._is_due():  # The user may have asked for one meanwhile.
                    await self._check()
        except P2PNodeError as error:
            log.warning("the check of reachability failed: %s", error)

    async def _check(self) -> None:
        network = self._context.network
        self._announce()
        addresses = network.addresses()
        routes = {address: await network.resolve(address) for address in addresses}
        origins = {address: self._origin_of(address) for address in addresses}
        peers = self._choose_peers()
        answers, tallies = await self._ask_about(routes, peers, origins)
        failed = {tally.address for tally in tallies if tally.reach is Reach.NO}
        self._observed = tuple(address for address in self._observed if address not in failed)
        confirmed: tuple[str, ...] = ()
        if not self._has_announced and self._mapping.state is not MappingState.MAPPED:
            confirmed, tried = await self._try_seen(self._sightings(answers, peers), addresses, peers)
            tallies += tried
        found = _Found(self._context.clock.monotonic(), tuple(tallies), len(peers), len(answers), confirmed)
        self._found = found
        self._announce()
        self._checked = network.addresses()
        self._due_at = found.at + _pause_after(found)
        self._say(found)

    def _sightings(self, answers: Mapping[PeerId, DialledBack], peers: Mapping[PeerId, str]) -> list[Sighting]:
        """Return where those see us whom we dialled ourselves: who dials us may be one operator with many names."""
        dialled = {each.peer_id for each in self._context.network.connected() if each.address}
        return [
            Sighting(domain=peers[peer_id], address=answer.seen_at)
            for peer_id, answer in answers.items()
            if peer_id in dialled
        ]

    async def _try_seen(
        self, sightings: Sequence[Sighting], addresses: Sequence[str], peers: Mapping[PeerId, str]
    ) -> tuple[tuple[str, ...], list[Tally]]:
        """Have the addresses dialled at which peers see us; announce those that work and are confirmed.

        Returns the confirmed IP addresses and what came of the dials.
        """
        allows_private = self._context.profile.dials_private_addresses
        confirmed = confirmed_ips(sightings, allows_private=allows_private)
        # One peer's word is enough to have it try, and to tell the user; it is not enough to tell everybody.
        seen = confirmed_ips(sightings, allows_private=allows_private, domains_min=1)
        candidates = [text for text in observed_candidates(seen, self._listened()) if text not in addresses]
        if not candidates:
            return confirmed, []
        routes = {address: (address,) for address in candidates}
        _, tried = await self._ask_about(routes, peers, dict.fromkeys(candidates, Origin.OBSERVED))
        may_announce = observed_candidates(confirmed, self._listened())
        working = [each.address for each in tried if each.reach is Reach.YES and each.address in may_announce]
        self._observed = tuple(working) or self._observed
        return confirmed, tried

    async def _ask_about(
        self, routes: Mapping[str, Sequence[str]], peers: Mapping[PeerId, str], origins: Mapping[str, Origin]
    ) -> tuple[dict[PeerId, DialledBack], list[Tally]]:
        allows_private = self._context.profile.dials_private_addresses
        asked = worth_checking((each for leads in routes.values() for each in leads), allows_private=allows_private)
        answers: dict[PeerId, DialledBack] = {}
        async with open_nursery() as nursery:
            for peer_id in peers:
                nursery.start_soon(self._ask, peer_id, asked, answers)
        return answers, count_outcomes(routes, asked, answers.values(), origins)

    async def _ask(self, peer_id: PeerId, asked: tuple[str, ...], answers: dict[PeerId, DialledBack]) -> None:
        try:
            reply = await self._context.peers.ask(peer_id, "reach", DialBack(addresses=asked), expect=(DialledBack,))
        except P2PNodeError as error:
            log.debug("%s did not tell whether it reaches us: %s", peer_id_to_text(peer_id), error)
            return
        assert isinstance(reply.message, DialledBack)
        answers[peer_id] = reply.message

    def _choose_peers(self) -> dict[PeerId, str]:
        """Return whom to ask, with their failure domains: one a domain, first those that we dialled ourselves."""
        network = self._context.network
        connected = self._context.rng.shuffled(network.connected())
        connected.sort(key=lambda each: not each.address)
        rows = []
        for each in connected:
            places = network.seen_at(each.peer_id)
            if places:  # Through a relay it could not dial us back, nor does it see where we are.
                rows.append((domain_of(peer_id_to_text(each.peer_id), places[0]), bytes(each.peer_id)))
        return {PeerId(peer): domain for domain, peer in one_a_domain(rows)}

    # What we announce.

    @property
    def _mapping(self) -> PortMapping:
        return _NO_MAPPING if self._mapper is None else self._mapper.mapping

    def _announced_besides(self) -> tuple[str, ...]:
        if self._has_announced:
            return ()
        mapping = self._mapping
        return (mapping.address,) if mapping.state is MappingState.MAPPED else self._observed

    def _announce(self) -> None:
        self._context.network.announce_also(self._announced_besides())

    def _listened(self) -> tuple[str, ...]:
        """Return our addresses on this machine; with `--announce` they are not known."""
        besides = self._announced_besides()
        direct = (address for address in self._context.network.addresses() if not is_circuit(address))
        return tuple(address for address in direct if address not in besides)

    def _origin_of(self, address: str) -> Origin:
        if is_circuit(address):
            return Origin.RELAYED
        if self._has_announced:
            return Origin.ANNOUNCED
        if address == self._mapping.address:
            return Origin.MAPPED
        return Origin.OBSERVED if address in self._observed else Origin.LISTENED

    def _say(self, found: _Found) -> None:
        """Log when the verdict is another one than before."""
        if found.reach is self._said:
            return
        self._said = found.reach
        if found.reach is Reach.NO:
            log.warning("this node is not reachable from outside: %s", self.report().advice)
        elif found.reach is Reach.YES:
            working = [tally.address for tally in found.tallies if tally.reach is Reach.YES]
            log.info("this node is reachable at %s", ", ".join(working))
        else:
            log.info("it is not known any more whether this node is reachable")


def _pause_after(found: _Found) -> float:
    if found.reach is Reach.UNKNOWN:
        return RETRY_S
    is_sure = found.reach is Reach.YES and found.answered >= PEERS_ANSWERED_WANTED
    return CHECK_EVERY_S if is_sure else RECHECK_S
