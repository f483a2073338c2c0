"""A stranger that sends a real network ten thousand receipts: nothing that counts changes, no copy is released."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import trio

from crypto.keys import SEED_BYTES, SigningKey
from crypto.peer_id import peer_id_from_text
from p2pnode.config import TESTNET
from p2pnode.errors import PeerRefusedError
from p2pnode.network.requests import Requester
from p2pnode.protocols.leases import blob_page
from p2pnode.protocols.page_records import make_holder_record, page_name
from p2pnode.protocols.receipts import shard_set
from p2pnode.system import SystemClock
from testnet import api
from testnet.processes import Testnet
from testnet.state import NodeState
from tests.e2e.conftest import put, read, sha256, write_random
from tests.network.lab import make_network, running
from wire import limits
from wire.ids import BlobId, LeaseTarget, PeerId, ShardIndex
from wire.messages import BlobRecord, ExchangePage, GetRecord, PageExchanged
from wire.protocol_ids import NetworkNames
from wire.records import Certificate, HolderRecord, Lease, RecordBundle
from wire.references import Reference
from wire.signed import Signed, open_envelope

NODES = 4
RECEIPTS_PER_NODE = 2_500
PER_MESSAGE = limits.HOLDER_RECORDS_PER_MESSAGE_MAX


def held(node: NodeState) -> dict[str, bytes]:
    """Return the pair files on a node's disk, and what is in them."""
    pairs = node.home / "data" / "pairs"
    return {str(path.relative_to(pairs)): path.read_bytes() for path in sorted(pairs.rglob("*")) if path.is_file()}


def clique(rng: random.Random, lease: Signed[Lease], blob_id: BlobId, *, network: str) -> Iterator[HolderRecord]:
    """Yield a record of a new identity each, which signs for all shards of a blob under its true lease."""
    sets = tuple(shard_set(ShardIndex(shard), [0], blob_count=1) for shard in range(lease.record.n))
    while True:
        key = SigningKey(rng.randbytes(SEED_BYTES))
        yield make_holder_record(key, lease, blob_page(blob_id), sets, network=network, sequence=9, time=0).record


class Stranger:
    """Somebody who knows the network's name, and the addresses of its nodes."""

    def __init__(self, rng: random.Random, name: str, blob_id: BlobId) -> None:
        self.names = NetworkNames(name, TESTNET.shared())
        self.network = make_network(rng, names=self.names)
        self._rng = rng
        self._blob_id = blob_id
        self._requester = Requester(self.network, SystemClock(), TESTNET)
        self.refused = 0

    async def attack(self, node: NodeState) -> None:
        """Read the blob's certificate, as anybody may, and send the receipts of a clique."""
        await self.network.bootstrap(node.address)
        peer_id = PeerId(peer_id_from_text(node.peer_id))
        question = GetRecord(blob_id=self._blob_id, wants_certificates=True)
        reply = await self._requester.request(peer_id, self.names.protocol("read"), question, expect=(BlobRecord,))
        certificate = open_envelope(reply.message.certificates[0], Certificate, network=self.names.network)
        lease = open_envelope(certificate.record.lease, Lease, network=self.names.network)
        page = page_name(lease.signer, LeaseTarget(self._blob_id), 0)
        records = clique(self._rng, lease, self._blob_id, network=self.names.network)
        for start in range(0, RECEIPTS_PER_NODE, PER_MESSAGE):
            count = min(PER_MESSAGE, RECEIPTS_PER_NODE - start)
            bundle = RecordBundle(certificates=(), holders=tuple(itertools.islice(records, count)), retractions=())
            try:
                sent = ExchangePage(page=page, has=(), records=bundle)
                await self._requester.request(peer_id, self.names.protocol("sync"), sent, expect=(PageExchanged,))
            except PeerRefusedError:
                self.refused += 1  # What costs too much is not even looked at.


def lasting_figures(node: NodeState, reference: str) -> dict[str, Any]:
    """Return what this node says of the blob, without how many holders it reaches: who just met the rest says less."""
    figures = api.blob_status(node, reference)
    del figures["reachable"]
    return figures


def test_ten_thousand_receipts_of_strangers_change_nothing(
    testnet: Testnet, tmp_path: Path, rng: random.Random
) -> None:
    source = write_random(tmp_path / "source", 100_000)
    reference = put(testnet, "node-00", source)
    before = [held(node) for node in testnet.nodes]
    figures = lasting_figures(testnet.node("node-01"), reference)
    name = api.ask(testnet.node("node-00"), "/v1/node")["network"]
    stranger = Stranger(rng, name, Reference.parse(reference).blob_id)

    async def attack_all() -> None:
        async with running(stranger.network):
            for node in testnet.nodes:
                await stranger.attack(node)

    trio.run(attack_all)
    assert min(map(len, before)) > 0
    for node, files in zip(testnet.nodes, before, strict=True):
        assert files.items() <= held(node).items()  # The list of what its owner stored may have come meanwhile.
        assert lasting_figures(node, reference) == figures
        assert read(testnet, node.name, reference, tmp_path) == sha256(source)
        assert sum(api.ask(node, "/v1/peers")["refused"].values()) > 0
