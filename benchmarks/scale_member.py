"""What one member takes of a node: its record, and its rows in the tables of members, of signers and of addresses."""

from __future__ import annotations

import gc
import random
import tracemalloc
from dataclasses import dataclass

from benchmarks.scale_network import Others
from p2pnode.membership.table import MemberTable
from p2pnode.protocols.gossip import MEMBERS, GossipGate
from testnet.sim.admission import SIMULATED
from testnet.sim.clock import WALL_EPOCH_S
from testnet.sim.world import NETWORK_NAME
from wire.codec import encode
from wire.ids import PEER_ID_BYTES, PeerId


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberFigures:
    """What was measured of one member, the mean of many."""

    record_bytes: int
    """A signed record as it is gossiped, without the frames around it."""
    memory_bytes: int


def measure_member(members: int = 2_000, *, seed: int = 1) -> MemberFigures:
    """Hear so many records as gossip brings them, and look at the memory."""
    chance = random.Random(seed)  # noqa: S311 - measurements need chance that repeats, not secrets
    others = Others(members, chance, now=0.0)
    messages = [encode(each.envelope) for each in others.records]
    gate = GossipGate(MEMBERS, network=NETWORK_NAME)
    table = MemberTable(PeerId(bytes(PEER_ID_BYTES)), SIMULATED, started_at=0.0)
    addresses: dict[PeerId, tuple[str, ...]] = {}
    gc.collect()
    tracemalloc.start()
    for message in messages:
        signed = gate.check(message, now=0.0, wall=WALL_EPOCH_S).signed
        assert signed is not None
        assert table.consider(signed, now=0.0, wall=WALL_EPOCH_S)
        addresses[signed.signer_peer] = table.addresses(signed.signer_peer)
    table.members()
    gc.collect()
    memory_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return MemberFigures(
        record_bytes=sum(len(message) for message in messages) // members, memory_bytes=memory_bytes // members
    )
