"""The table of limits, and the one place that counts against it."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from p2pnode.errors import PeerUnavailableError
from p2pnode.network import limits
from p2pnode.network.libp2p_adapter import Libp2pNetwork
from p2pnode.network.libp2p_dispatch import kind_of
from p2pnode.network.resources import TABLE, Claim, LimitReachedError, Reservation, Resource, Resources, Scope
from p2pnode.seams import Stream
from tests.network.lab import NAMES, full_address, make_network, running, until

SYSTEM = Claim(Scope.SYSTEM, Resource.STREAMS_INBOUND)


def of_peer(number: int) -> Claim:
    return Claim(Scope.PEER, Resource.STREAMS_INBOUND, number)


def test_every_row_of_the_table_has_a_number_and_a_reason_and_stands_there_once() -> None:
    assert all(row.most > 0 and row.reason.endswith(".") for row in TABLE)
    assert len({(row.scope, row.resource, row.kind) for row in TABLE}) == len(TABLE)


def test_no_peer_may_take_all_of_what_the_system_has() -> None:
    """One identity costs nothing, so one row for the system without one for the peer would be no limit."""
    most = {(row.scope, row.resource): row.most for row in TABLE if not row.kind}
    for (scope, resource), number in most.items():
        if scope is Scope.PEER and (Scope.SYSTEM, resource) in most:
            assert number * 4 <= most[Scope.SYSTEM, resource], resource


def test_any_sequence_of_operations_stays_within_the_limits_and_leaves_nothing(
    rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "INBOUND_STREAMS_MAX", 12)
    monkeypatch.setattr(limits, "INBOUND_STREAMS_PER_PEER_MAX", 5)
    resources = Resources()
    held: list[tuple[Reservation, int]] = []
    refused = 0
    for _ in range(3_000):
        peer = rng.randrange(4)
        try:
            what = rng.randrange(4)
            if what > 1 or not held:
                held.append((resources.reserve((SYSTEM, of_peer(peer)), rng.randrange(3)), peer))
            elif what:
                rng.choice(held)[0].resize(rng.randrange(6))
            else:
                reservation, _ = held.pop(rng.randrange(len(held)))
                reservation.release()
                reservation.release()  # Twice does no harm.
        except LimitReachedError:
            refused += 1
        counts = Counter({peer: sum(each.count for each, whose in held if whose == peer) for peer in range(4)})
        assert resources.used(SYSTEM) == counts.total() <= 12
        assert all(resources.used(of_peer(peer)) == count <= 5 for peer, count in counts.items())
    assert refused
    for reservation, _ in held:
        reservation.release()
    assert resources.is_idle
    assert all(usage.used == usage.holders == 0 for usage in resources.snapshot())


def test_a_claim_is_granted_in_all_scopes_or_in_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "INBOUND_STREAMS_PER_PEER_MAX", 1)
    resources = Resources()
    with resources.reserve((SYSTEM, of_peer(1))):
        with pytest.raises(LimitReachedError, match="1 inbound streams of 1 for this peer") as caught:
            resources.reserve((SYSTEM, of_peer(1)))
        assert caught.value.row.scope is Scope.PEER
        assert resources.used(SYSTEM) == 1
    assert resources.is_idle


def test_a_stream_counts_against_its_protocol_once_that_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "DHT_STREAMS_PER_PEER_MAX", 1)
    resources = Resources()
    claim = Claim(Scope.PROTOCOL_OF_PEER, Resource.STREAMS_INBOUND, (1, "kad"), "kad")
    with resources.reserve((of_peer(1),)) as first, resources.reserve((of_peer(1),)) as second:
        first.extend(claim)
        with pytest.raises(LimitReachedError):
            second.extend(claim)
        assert resources.used(claim) == 1
    assert resources.is_idle


def test_a_reservation_that_is_forgotten_warns_and_is_given_back() -> None:
    resources = Resources()
    reservation = resources.reserve((SYSTEM,))
    held = [reservation]
    del reservation
    with pytest.warns(ResourceWarning, match="never released"):
        held.clear()
    assert resources.is_idle


def test_the_snapshot_names_the_busiest_holder_of_each_row() -> None:
    resources = Resources()
    with resources.reserve((of_peer(1),), 3), resources.reserve((of_peer(2),), 7):
        (usage,) = [
            each
            for each in resources.snapshot()
            if (each.row.scope, each.row.resource) == (Scope.PEER, Resource.STREAMS_INBOUND)
        ]
        assert (usage.used, usage.holders, usage.row.most) == (7, 2, limits.INBOUND_STREAMS_PER_PEER_MAX)


async def test_a_protocol_has_no_more_streams_of_a_peer_than_its_row_and_the_others_are_served(
    rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "REQUEST_STREAMS_PER_PEER_MAX", 2)
    server, client, other = (make_network(rng) for _ in range(3))
    store, read = NAMES.protocol("store"), NAMES.protocol("read")

    async def serve(stream: Stream) -> None:
        while True:
            await stream.send(await stream.receive_exactly(1))

    async def use(network: Libp2pNetwork, protocol: str) -> None:
        stream = await network.open_stream(server.peer_id, protocol)
        await stream.send(b"x")
        assert await stream.receive_exactly(1) == b"x"

    server.handle(store, serve)
    server.handle(read, serve)
    async with running(server, client, other):
        await client.bootstrap(full_address(server))
        await other.bootstrap(full_address(server))
        for _ in range(2):
            await use(client, store)
        with pytest.raises(PeerUnavailableError, match="reset"):
            await use(client, store)
        await use(client, read)
        await use(other, store)
        await client.disconnect(server.peer_id)
        await other.disconnect(server.peer_id)
        await until(lambda: server.connections.resources.is_idle and client.connections.resources.is_idle)


def test_every_protocol_has_one_name_in_the_table_whatever_its_version_and_network() -> None:
    assert [kind_of(name) for name in ("/meshsub/1.1.0", "/meshsub/1.2.0", "/ipfs/id/1.0.0", "/ipfs/ping/1.0.0")] == [
        "meshsub",
        "meshsub",
        "identify",
        "ping",
    ]
    for kind in ("kad", "store", "read", "members"):
        assert kind_of(NAMES.protocol(kind)) == kind
        assert Claim(Scope.PROTOCOL_OF_PEER, Resource.STREAMS_INBOUND, (1, kind), kind).row.kind == kind
