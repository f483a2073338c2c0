"""What a holder answers about a blob while its disk fails: never an exception that ends the stream."""

from __future__ import annotations

import errno
import os
import random

import pytest

from p2pnode.errors import PeerRefusedError
from p2pnode.node import Node
from testnet.sim.disk_events import DiskEvent, DiskOperation
from testnet.sim.machine import Machine
from testnet.sim.world import World
from tests.services.simulated import put, simulate
from wire.messages import BlobRecord, GetRecord, RefusalCode
from wire.references import Reference


def fail_reads(machine: Machine, code: int) -> None:
    """Let every read of a machine's disk fail from now on."""

    def fail(event: DiskEvent) -> None:
        if event.operation is DiskOperation.READ:
            raise OSError(code, os.strerror(code), event.name)

    machine.files.hook = fail


async def ask_about(asker: Machine, holder: Machine, text: str) -> BlobRecord:
    """Ask a holder for what it knows of a blob, certificates too."""
    node = asker.node
    assert isinstance(node, Node)
    question = GetRecord(blob_id=Reference.parse(text).blob_id, wants_certificates=True)
    reply = await node._context.peers.ask(holder.peer_id, "read", question, expect=(BlobRecord,))
    assert isinstance(reply.message, BlobRecord)
    return reply.message


@pytest.mark.parametrize("code", [errno.EIO, errno.EMFILE])
def test_a_holder_that_cannot_read_a_certificate_refuses_and_serves_on(rng: random.Random, code: int) -> None:
    async def body(_: World, machines: list[Machine]) -> None:
        result = await put(machines[0], rng.randbytes(5_000))
        fail_reads(machines[1], code)
        with pytest.raises(PeerRefusedError, match="cannot read certificate") as caught:
            await ask_about(machines[0], machines[1], result.id)
        assert caught.value.code == RefusalCode.DAMAGED
        machines[1].files.hook = None
        assert len((await ask_about(machines[0], machines[1], result.id)).certificates) == 1

    simulate(rng, 4, body)
