"""A node on this machine: the one place that joins the node with real disk, network, clock and chance."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from p2pnode.coding import choice
from p2pnode.config import PROFILES, TESTNET
from p2pnode.network.bandwidth import Limits, Meter, MeteredTransport
from p2pnode.network.lan_discovery import LanDiscovery, finds_lan_peers
from p2pnode.network.libp2p_adapter import Libp2pNetwork
from p2pnode.network.nat_pmp import NatPmpRouter
from p2pnode.network.port_mapping import RouterPortMapper
from p2pnode.network.tcp_transport import TcpTransport
from p2pnode.network.upnp import UpnpRouter
from p2pnode.node import Node
from p2pnode.services.node_config import NodeConfig
from p2pnode.services.nursery import open_nursery
from p2pnode.storage.data_directories import open_directories
from p2pnode.storage.home import Home
from p2pnode.storage.settings import HomeSettings, hours_of
from p2pnode.system import SystemClock, SystemRng, ThreadOffload

_log = logging.getLogger(__name__)

WORKER_THREADS = 4
"""Worker threads of one node: two cores' worth of hashing, with as many again that wait for the disk."""


@asynccontextmanager
async def open_node(
    home: Home,
    *,
    listen: Sequence[str] = (),
    announce: Sequence[str] = (),
    bootstrap: Sequence[str] = (),
) -> AsyncIterator[Node]:
    """Run a node on this machine, with real disk and network, for as long as the context is open.

    Arguments that are given replace those of the home's settings. Raises `CallerError` for a kernel that is not here.
    """
    chosen = choice()  # Now, and not when the first blob comes.
    settings = home.settings
    profile = PROFILES[settings.profile]
    config = NodeConfig(
        network_name=settings.network,
        profile=profile,
        identity=home.identity,
        owner=home.owner,
        predecessors=home.predecessors,
        bootstrap=tuple(bootstrap) or settings.bootstrap,
        quota_bytes=settings.quota_bytes,
        disk_free_min_bytes=settings.disk_free_min_bytes,
        work=home.work,
        domain_tag=settings.domain_tag,
        repairs=settings.repair,
        has_announced=bool(announce or settings.announce),
    )
    clock, rng = SystemClock(), SystemRng()
    meter = Meter(_limits_of(settings), wall=clock.wall)
    network = Libp2pNetwork(
        key=home.identity,
        names=config.names(),
        profile=profile,
        clock=clock,
        rng=rng,
        listen=tuple(listen) or settings.listen,
        announce=tuple(announce) or settings.announce,
        secret=home.secret,
        relays_for_others=settings.relay,
        transport=MeteredTransport(TcpTransport(dials_private_names=profile.dials_private_addresses), meter),
    )
    may_map = settings.port_mapping and not config.has_announced and profile.name != TESTNET.name
    node = Node(
        config,
        network=network,
        clock=clock,
        rng=rng,
        files=open_directories(home, rng),
        offload=ThreadOffload(WORKER_THREADS),
        meter=meter,
        port_mapper=RouterPortMapper((NatPmpRouter(), UpnpRouter()), clock) if may_map else None,
    )
    async with open_nursery() as nursery:
        await nursery.start(node.run)
        _log.info("coding with the kernel %s: %s", chosen.kernel.name, chosen.reason)
        if finds_lan_peers(profile, network.local_addresses(), is_wanted=settings.lan_discovery):
            lan = LanDiscovery(
                names=config.names(),
                peer_id=network.peer_id,
                addresses=network.local_addresses,
                on_found=node.hint,
                rng=rng,
            )
            nursery.start_soon(lan.run)
        yield node
        await node.absence.leave()
        nursery.cancel_scope.cancel()


def _limits_of(settings: HomeSettings) -> Limits:
    first, last = hours_of(settings.limit_hours)
    return Limits(
        up=settings.limit_up_bytes_per_s or None,
        down=settings.limit_down_bytes_per_s or None,
        first_hour=first,
        last_hour=last,
    )
