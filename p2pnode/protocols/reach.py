"""Reachability: which addresses a peer is dialled back at, what the answers mean, and what to tell the user.

Rules, both sides:
- A node is asked to dial, so it could be used against others. It therefore dials only the asker: at the IP address that
  the asker's own connection comes from or, where private addresses are dialled at all, at the private ones of the
  asker's signed record; at ports below 1024 only if that record names the port. Names are never resolved for others.
- What it dials is counted, per asker and in all.
- An address counts as reachable when at least half of those who tried got through. One that the node did not know
  itself is announced only when peers of three failure domains, whom it had chosen to dial, see it there.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from p2pnode.membership.endpoints import BadAddressError, Endpoint, parse_endpoint
from wire import limits
from wire.messages import DialledBack, DialOutcome

PORT_FREE_FROM = 1024
"""Ports below belong to well-known services: nobody listens there for us by chance."""

CONFIRMATIONS_MIN = 3
"""Peers of distinct failure domains that must see us at an address new to us: no single operator has them."""

PEERS_ASKED_MAX = 5
"""Peers asked in one check: enough for three that agree, with two that are wrong or silent."""

DIALS_PER_ASKER_MAX = 16
"""What one asker may cost at once; a check of eight addresses in two rounds fits. It is earned back in a minute."""

DIALS_MAX = 64
"""What all askers together may cost at once, earned back in a minute: about one dial a second over time."""

ASKERS_MAX = 1024
"""Askers whose budget is remembered: as many as there can be connections."""

BUDGET_SECONDS = 60.0
"""The time in which a budget that was used up is whole again."""

OBSERVED_MAX = 4
"""Addresses taken from what peers see: two families, each with a changed address while peers still remember the old."""


class Reach(enum.StrEnum):
    """Whether others can dial an address."""

    YES = "reachable"
    NO = "not reachable"
    UNKNOWN = "unknown"


class Origin(enum.StrEnum):
    """How an address came to be announced."""

    LISTENED = "listened"
    """It is an address of this machine."""
    ANNOUNCED = "announced"
    """The user named it."""
    MAPPED = "mapped"
    """The router opened it for us."""
    OBSERVED = "observed"
    """Peers see us there, and could dial it."""
    RELAYED = "relayed"
    """It leads through a relay, so nobody is asked to dial it."""


class MappingState(enum.StrEnum):
    """How port mapping is doing."""

    OFF = "off"
    SEARCHING = "searching"
    MAPPED = "mapped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class PortMapping:
    """What a router was asked and said."""

    state: MappingState
    detail: str
    """Why it is off or failed, or how it was mapped; for a person."""
    address: str = ""
    """The multiaddr at the router's outer side; empty unless mapped."""
    local: str = ""
    """The multiaddr in our own network that it leads to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What came of the dials at one address."""

    address: str
    origin: Origin
    reached: int
    tried: int

    @property
    def reach(self) -> Reach:
        """At least half of those who tried must have got through: some peers have no route, some are wrong."""
        if not self.tried:
            return Reach.UNKNOWN
        return Reach.YES if 2 * self.reached >= self.tried else Reach.NO


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """Where one peer sees us."""

    domain: str
    address: str
    """As `DialledBack.seen_at`."""


# The side that is asked.


@dataclass(slots=True)
class _Bucket:
    level: float
    at: float


class DialBackBudget:
    """How much is dialled on behalf of others; every dial, and every request besides, costs one."""

    def __init__(self) -> None:
        """Start full."""
        self._askers: dict[bytes, _Bucket] = {}
        self._all = _Bucket(DIALS_MAX, 0.0)

    def __len__(self) -> int:
        """Return how many askers are remembered."""
        return len(self._askers)

    def take(self, asker: bytes, count: int, *, now: float) -> bool:
        """Pay for a request with so many dials; False, and nothing is paid, when the budget does not allow it.

        `now` is monotonic, in seconds.
        """
        cost = 1 + count
        known = self._askers.pop(asker, None) or _Bucket(DIALS_PER_ASKER_MAX, now)
        _refill(known, DIALS_PER_ASKER_MAX, now)
        _refill(self._all, DIALS_MAX, now)
        self._askers[asker] = known  # At the end: who asked longest ago stands first.
        while len(self._askers) > ASKERS_MAX:
            del self._askers[next(iter(self._askers))]
        if known.level < cost or self._all.level < cost:
            return False
        known.level -= cost
        self._all.level -= cost
        return True


def _refill(bucket: _Bucket, most: int, now: float) -> None:
    bucket.level = min(float(most), bucket.level + (now - bucket.at) * most / BUDGET_SECONDS)
    bucket.at = now


def may_dial_back(address: str, *, seen_ips: frozenset[str], record: Sequence[str], allows_private: bool) -> bool:
    """Tell whether an asker may be dialled at this address.

    `seen_ips` are those that the asker's own connections come from, `record` the addresses of its signed record.
    """
    endpoint = _endpoint(address)
    if endpoint is None or endpoint.ip is None or endpoint.is_unspecified or endpoint.is_link_local:
        return False
    if endpoint.ip.is_multicast:
        return False
    recorded = {each for each in map(_endpoint, record) if each is not None}
    if endpoint.port < PORT_FREE_FROM and endpoint.port not in {each.port for each in recorded}:
        return False
    if endpoint.host in seen_ips:
        return True
    # Our own loopback is no place where a peer on another machine could be.
    return allows_private and endpoint.is_private and not endpoint.ip.is_loopback and endpoint in recorded


# The side that asks.


def worth_checking(addresses: Iterable[str], *, allows_private: bool) -> tuple[str, ...]:
    """Return the addresses that peers can say something about: no names, no relays, no private ones among strangers."""
    endpoints = [endpoint for endpoint in map(_endpoint, addresses) if endpoint is not None and endpoint.ip is not None]
    kept = [endpoint.text() for endpoint in endpoints if allows_private or not endpoint.is_private]
    return tuple(dict.fromkeys(kept))[: limits.DIAL_BACK_ADDRESSES_MAX]


def one_a_domain(peers: Iterable[tuple[str, bytes]], *, count_max: int = PEERS_ASKED_MAX) -> list[tuple[str, bytes]]:
    """Return the first peer of each failure domain; the rows are (domain, peer), in the order of preference."""
    chosen: dict[str, bytes] = {}
    for domain, peer in peers:
        if len(chosen) < count_max:
            chosen.setdefault(domain, peer)
    return list(chosen.items())


def count_outcomes(
    routes: Mapping[str, Sequence[str]],
    asked: Sequence[str],
    answers: Iterable[DialledBack],
    origins: Mapping[str, Origin],
) -> list[Tally]:
    """Return a tally for each of our addresses; `routes` says which of those asked about it stands for.

    An answer that does not fit the question says nothing. A peer counts once for an address, whatever a name leads to.
    """
    fitting = [
        dict(zip(asked, answer.outcomes, strict=True)) for answer in answers if len(answer.outcomes) == len(asked)
    ]
    tallies = []
    for address, leads_to in routes.items():
        told = [{outcomes.get(each, DialOutcome.NOT_TRIED) for each in leads_to} for outcomes in fitting]
        tallies.append(
            Tally(
                address=address,
                origin=origins.get(address, Origin.LISTENED),
                reached=sum(DialOutcome.REACHED in each for each in told),
                tried=sum(bool(each - {DialOutcome.NOT_TRIED}) for each in told),
            )
        )
    return tallies


def confirmed_ips(
    sightings: Iterable[Sighting], *, allows_private: bool, domains_min: int = CONFIRMATIONS_MIN
) -> tuple[str, ...]:
    """Return the IP addresses at which peers of so many distinct domains see us, those of most first."""
    domains: dict[str, set[str]] = {}
    for sighting in sightings:
        endpoint = _endpoint(sighting.address)
        if endpoint is None or endpoint.ip is None or endpoint.ip.is_unspecified or endpoint.ip.is_multicast:
            continue
        if endpoint.ip.is_loopback or endpoint.is_link_local or (endpoint.is_private and not allows_private):
            continue
        domains.setdefault(endpoint.host, set()).add(sighting.domain)
    seen = sorted((-len(by), host) for host, by in domains.items() if len(by) >= domains_min)
    return tuple(host for _, host in seen[:OBSERVED_MAX])


def observed_candidates(ips: Iterable[str], own: Sequence[str]) -> tuple[str, ...]:
    """Return addresses worth trying: each confirmed IP with the ports that we listen on in its family.

    `own` are our addresses on this machine. A router that forwards another port is not found; --announce says it.
    """
    listened = [endpoint for endpoint in map(_endpoint, own) if endpoint is not None and endpoint.ip is not None]
    found = []
    for ip in ips:
        kind = "ip6" if ":" in ip else "ip4"
        ports = dict.fromkeys(endpoint.port for endpoint in listened if endpoint.kind == kind)
        found += [Endpoint(kind, ip, port).text() for port in ports]
    return tuple(text for text in found if text not in own)[:OBSERVED_MAX]


def overall(tallies: Sequence[Tally]) -> Reach:
    """Return whether the node can be reached: at one address is enough."""
    reaches = {tally.reach for tally in tallies}
    if Reach.YES in reaches:
        return Reach.YES
    return Reach.NO if Reach.NO in reaches else Reach.UNKNOWN


def advice(reach: Reach, *, answered: int, has_announced: bool, mapping: PortMapping, listened: Sequence[str]) -> str:
    """Return what the user may do, in plain words; empty when nothing is to be done.

    `answered` is how many peers could be asked, `listened` are our addresses on this machine.
    """
    if reach is Reach.YES:
        return ""
    if reach is Reach.UNKNOWN:
        return _advice_when_unknown(answered, listened)
    if has_announced:
        return (
            "No peer gets through to the announced address. Check that it leads to this machine, that its port is "
            "forwarded to the port that the node listens on, and that no firewall drops it; then run p2pnode check."
        )
    if mapping.state is MappingState.MAPPED:
        return (
            f"The router says that it opened {mapping.address} for {mapping.local}, but no peer gets through. There "
            "may be a second router or a firewall before it, or your provider shares one address among its customers: "
            "ask it for an address of your own, or listen on IPv6 too with --listen /ip6/::/tcp/4710."
        )
    local = local_endpoint(listened)
    if local is None:
        text = "Let TCP connections to the node's port through the firewall of this machine and of its network"
    else:
        text = f"Forward TCP port {local.port} on your router to port {local.port} of {local.host}"
        if mapping.state is MappingState.FAILED:
            text += ", or switch on UPnP or NAT-PMP there, and the node does it by itself"
    text += ". If the port has another number outside, tell it with --announce."
    if not any(address.startswith("/ip6/") for address in worth_checking(listened, allows_private=False)):
        text += " With IPv6 there may be nothing to forward: listen on /ip6/::/tcp/4710 too."
    return f"{text} Port mapping: {mapping.detail}."


def _advice_when_unknown(answered: int, listened: Sequence[str]) -> str:
    if not answered:
        return (
            "Nobody could be asked yet. The node needs a connection to at least one other: 'p2pnode peers' shows them, "
            "--bootstrap names one. Try again in a minute."
        )
    if not listened:
        return "The node has no address that others could dial."
    return (
        "The peers that were asked could not try these addresses: they see this node under other ones. With peers "
        "outside your own network the check will tell more; --announce names an address that you know."
    )


def local_endpoint(listened: Sequence[str]) -> Endpoint | None:
    """Return the IPv4 address that a router would have to forward a port to; None when there is no such router."""
    for endpoint in map(_endpoint, listened):
        if endpoint is not None and endpoint.kind == "ip4" and endpoint.is_private and not _is_loopback(endpoint):
            return endpoint
    return None


def _is_loopback(endpoint: Endpoint) -> bool:
    return endpoint.ip is not None and endpoint.ip.is_loopback


def _endpoint(text: str) -> Endpoint | None:
    try:
        return parse_endpoint(text)
    except BadAddressError:
        return None
