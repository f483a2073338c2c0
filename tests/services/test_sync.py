"""Holders of one page get in step about its receipts, with nobody in charge, and nobody else's records end any."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Sequence

import pytest
import trio

from p2pnode.config import TESTNET
from p2pnode.errors import CorruptSliverError, NotFoundError, PeerRefusedError, PeerUnavailableError
from p2pnode.membership.refusals import Refused
from p2pnode.node import Node
from p2pnode.protocols.leases import blob_page
from p2pnode.protocols.manifest import manifest_from_bytes
from p2pnode.protocols.page_records import PageRecords, make_holder_record, page_name
from p2pnode.protocols.receipts import shard_set
from p2pnode.protocols.retractions import make_retraction
from p2pnode.protocols.sync import fitting_bundle
from p2pnode.services import retract
from p2pnode.storage.pairfile import pair_of_shard
from p2pnode.storage.reader import HeldBlob
from testnet.sim.injection import Injector
from testnet.sim.machine import Machine
from testnet.sim.world import World
from tests import factories
from tests.services.simulated import get, pair_files, put, simulate
from wire import limits
from wire.codec import decode
from wire.ids import Axis, BlobId, Digest, LeaseTarget, PeerId, PublicKey, ShardIndex
from wire.messages import BlobRecord, ExchangePage, GetRecord, PageExchanged
from wire.records import Certificate, Lease, RecordBundle
from wire.references import Reference, ReferenceKind
from wire.signed import Signed, open_envelope

NETWORK = "simulated"
PERIODS_S = 3 * TESTNET.member_record_every_s
EMPTY = RecordBundle(certificates=(), holders=(), retractions=())


def node_of(machine: Machine) -> Node:
    """Return the production node on a machine."""
    assert isinstance(machine.node, Node)
    return machine.node


async def records(machine: Machine, blob_id: BlobId) -> PageRecords:
    """Return what a node keeps of a single blob's page."""
    store = node_of(machine)._context.store
    found = await store.certificates(blob_id)
    if not found:
        return PageRecords()
    page = page_name(found[0].signer, LeaseTarget(blob_id), 0)
    return await store.receipts.records_of_page(page)


def page_of(writer: Machine, blob_id: BlobId) -> Digest:
    """Return the name of a single blob's page."""
    return page_name(PublicKey(writer.owner.public), LeaseTarget(blob_id), 0)


async def until_all_know(machines: Sequence[Machine], blob_id: BlobId, count: int) -> PageRecords:
    """Wait until all keep the same records of a blob, so many retractions among them."""
    with trio.fail_after(600):
        while True:
            known = [await records(machine, blob_id) for machine in machines]
            if len({each.names() for each in known}) == 1 and len(known[0].retractions) == count:
                return known[0]
            await trio.sleep(0.5)


def lose_a_pair(machine: Machine) -> None:
    """Damage the first pair file on a machine's disk behind its node's back."""
    name = pair_files(machine)[0]
    machine.files.injure(name, machine.files.size(name) - 1, bit=3)


async def touch(machine: Machine, blob_id: BlobId) -> None:
    """Let a node read every sliver that it holds of a blob, so that it notices what is damaged."""
    store = node_of(machine)._context.store
    held = await store.held(blob_id)
    assert held is not None
    for axis in Axis:
        for index in range(held.metadata.n):
            with contextlib.suppress(NotFoundError, CorruptSliverError):
                await store.read_sliver(blob_id, axis, index)


def test_a_lost_pair_is_retracted_once_told_to_all_and_counted_by_nobody(
    rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retract, "LOOK_ANYWAY_EVERY_S", 10.0)

    async def body(_: World, machines: list[Machine]) -> None:
        result = await put(machines[0], rng.randbytes(5_000))
        blob_id = Reference.parse(result.id).blob_id
        before = await machines[3].node.stat(Reference.parse(result.id))
        lose_a_pair(machines[1])
        await touch(machines[1], blob_id)
        known = await until_all_know(machines, blob_id, 1)
        assert known.retractions[0].signer_peer == machines[1].peer_id
        for machine in machines:
            status = await machine.node.stat(Reference.parse(result.id))
            assert (before.healthy, status.healthy) == (4, 3)
        await trio.sleep(60)  # More than one look at what is lost.
        assert (await until_all_know(machines, blob_id, 1)).retractions == known.retractions

    simulate(rng, 4, body)


def test_a_pair_that_is_stored_anew_has_a_receipt_that_counts_again(rng: random.Random) -> None:
    data = rng.randbytes(5_000)

    async def body(_: World, machines: list[Machine]) -> None:
        result = await put(machines[0], data)
        blob_id = Reference.parse(result.id).blob_id
        lose_a_pair(machines[1])
        await touch(machines[1], blob_id)
        await until_all_know(machines, blob_id, 1)
        again = await put(machines[0], data)
        assert again.id == result.id
        await until_all_know(machines, blob_id, 1)
        for machine in machines:
            assert (await machine.node.stat(Reference.parse(result.id))).healthy == 4

    simulate(rng, 4, body)


def test_a_holder_that_was_away_catches_up_with_what_it_missed(rng: random.Random) -> None:
    data = rng.randbytes(5_000)

    async def body(world: World, machines: list[Machine]) -> None:
        result = await put(machines[0], data)
        blob_id = Reference.parse(result.id).blob_id
        names = [machine.name for machine in machines]
        world.fabric.partition(names[:1], names[1:])
        lose_a_pair(machines[1])
        await touch(machines[1], blob_id)
        await until_all_know(machines[1:], blob_id, 1)
        assert not (await records(machines[0], blob_id)).retractions
        world.fabric.heal()
        await until_all_know(machines, blob_id, 1)

    simulate(rng, 4, body)


def test_any_holder_names_all_holders_and_what_they_retracted(rng: random.Random) -> None:
    async def body(_: World, machines: list[Machine]) -> None:
        result = await put(machines[0], rng.randbytes(5_000))
        blob_id = Reference.parse(result.id).blob_id
        lose_a_pair(machines[1])
        await touch(machines[1], blob_id)
        await until_all_know(machines, blob_id, 1)
        question = GetRecord(blob_id=blob_id, wants_certificates=True)
        context = node_of(machines[0])._context
        reply = await context.peers.ask(machines[2].peer_id, "read", question, expect=(BlobRecord,))
        assert isinstance(reply.message, BlobRecord)
        assert len(reply.message.certificates) == len(reply.message.retractions) == 1
        assert await get(machines[3], result.id)

    simulate(rng, 4, body)


def test_the_receipts_of_a_file_are_compared_page_by_page(rng: random.Random) -> None:
    async def body(_: World, machines: list[Machine]) -> None:
        result = await put(machines[0], rng.randbytes(1_000_000), shards=4)
        assert result.segments > 1
        lose_a_pair(machines[1])
        node = node_of(machines[1])
        damaged = pair_files(machines[1])[0].rpartition("/")[2].partition("-")[0]
        blob_id = BlobId(bytes.fromhex(damaged))
        await touch(machines[1], blob_id)
        await trio.sleep(60)
        assert [(await each.node.stat(Reference.parse(result.id))).healthy for each in machines] == [3] * 4
        assert await node._context.store.receipts.untold_losses() == []

    simulate(rng, 4, body)


def test_holders_of_a_file_know_what_placed_it_also_from_a_renewal(rng: random.Random) -> None:
    async def body(_: World, machines: list[Machine]) -> None:
        result = await put(machines[0], rng.randbytes(1_000_000), shards=4)
        reference = Reference.parse(result.id)
        root = await get(machines[1], Reference(ReferenceKind.BLOB, reference.blob_id).text())
        salt = manifest_from_bytes(root, reference.blob_id).salt
        await machines[0].node.renew(reference)
        await machines[2].node.renew(reference)  # Anybody may add a lease; it learns the salt from the manifest.
        found = await node_of(machines[3])._context.store.certificates(reference.blob_id)
        leases = [decode(each.body, Certificate, bytes_max=limits.RECORD_BYTES_MAX).lease for each in found]
        assert len(leases) >= 2
        assert {open_envelope(each, Lease, network=NETWORK).record.salt for each in leases} == {salt}

    simulate(rng, 4, body)


# ------------------------------------------------------------------------------------------------- bad input


async def offer(asker: Machine, holder: Machine, page: Digest, bundle: RecordBundle) -> PageExchanged:
    """Bring records to a node, as any stranger can."""
    question = ExchangePage(page=page, has=(), records=bundle)
    context = node_of(asker)._context
    reply = await context.peers.ask(holder.peer_id, "sync", question, expect=(PageExchanged,))
    assert isinstance(reply.message, PageExchanged)
    return reply.message


async def lease_of(machine: Machine, blob_id: BlobId) -> Signed[Lease]:
    """Return the final lease of a blob, as anybody can read it."""
    certificate = (await records(machine, blob_id)).certificates[0]
    return open_envelope(certificate.record.lease, Lease, network=NETWORK)


def test_a_clique_that_signs_for_all_shards_changes_nothing_that_counts(rng: random.Random) -> None:
    async def body(_: World, machines: list[Machine]) -> None:
        result = await put(machines[0], rng.randbytes(5_000))
        reference = Reference.parse(result.id)
        lease = await lease_of(machines[1], reference.blob_id)
        before = await records(machines[1], reference.blob_id)
        files = pair_files(machines[1])
        page = blob_page(reference.blob_id)
        sets = tuple(shard_set(ShardIndex(shard), [0], blob_count=1) for shard in range(4))
        clique = [
            make_holder_record(factories.key(number), lease, page, sets, network=NETWORK, sequence=9, time=0).record
            for number in range(50)
        ]
        bundle = RecordBundle(certificates=(), holders=tuple(clique), retractions=())
        for _repetition in range(200):
            await offer(machines[0], machines[1], page_of(machines[0], reference.blob_id), bundle)
        assert await records(machines[1], reference.blob_id) == before
        assert pair_files(machines[1]) == files
        assert node_of(machines[1]).refused()[Refused.RECEIPT_UNASSIGNED] == 10_000
        assert (await machines[1].node.stat(reference)).healthy == 4

    simulate(rng, 4, body)


def test_members_that_sign_for_what_others_hold_do_not_count_and_release_nothing(rng: random.Random) -> None:
    async def body(_: World, machines: list[Machine]) -> None:
        result = await put(machines[0], rng.randbytes(5_000), shards=4)
        reference = Reference.parse(result.id)
        holders = [machine for machine in machines if pair_files(machine)]
        outsider = next(machine for machine in machines if not pair_files(machine))
        lease = await lease_of(holders[0], reference.blob_id)
        sets = tuple(shard_set(ShardIndex(shard), [0], blob_count=1) for shard in range(4))
        record = make_holder_record(
            outsider.identity, lease, blob_page(reference.blob_id), sets, network=NETWORK, sequence=9, time=0
        )
        bundle = RecordBundle(certificates=(), holders=(record.record,), retractions=())
        await offer(outsider, holders[0], page_of(machines[0], reference.blob_id), bundle)
        known = await records(holders[0], reference.blob_id)
        receipts = known.receipt_set()
        for shard in map(ShardIndex, range(4)):
            pair = (reference.blob_id, shard)
            assert outsider.peer_id in receipts.holders(pair, now=0)
            assert outsider.peer_id not in receipts.healthy(pair, now=0)
        # It does not hold a pair, so it is made to say so as soon as it meets a holder that believes it.
        await until_all_know(holders, reference.blob_id, 4)
        assert sum(len(pair_files(machine)) for machine in holders) == 4
        assert (await holders[0].node.stat(reference)).healthy == 4

    simulate(rng, 6, body)


async def whole_pair(holder: Machine, blob_id: BlobId) -> tuple[HeldBlob, bytes, bytes]:
    """Return what a holder keeps of a blob, with the slivers of its first shard."""
    store = node_of(holder)._context.store
    held = await store.held(blob_id)
    assert held is not None
    index = pair_of_shard(blob_id, shard=held.shards[0], n=held.metadata.n)
    primary = await store.read_sliver(blob_id, Axis.PRIMARY, index)
    return held, primary, await store.read_sliver(blob_id, Axis.SECONDARY, held.metadata.n - 1 - index)


def test_a_renewal_names_who_has_a_shard_now_and_not_who_has_retracted_it(rng: random.Random) -> None:
    """A holder that came later stands in no certificate: its receipt alone tells of it."""

    async def body(_: World, machines: list[Machine]) -> None:
        result = await put(machines[0], rng.randbytes(5_000), shards=4)
        reference = Reference.parse(result.id)
        blob_id = reference.blob_id
        holders = [machine for machine in machines if pair_files(machine)]
        loser = next(machine for machine in holders if machine is not machines[0])
        heir = next(machine for machine in machines if not pair_files(machine))
        lease = await lease_of(loser, blob_id)
        held, primary, secondary = await whole_pair(loser, blob_id)
        shard = held.shards[0]
        lose_a_pair(loser)
        await touch(loser, blob_id)
        await until_all_know(holders, blob_id, 1)
        await node_of(heir)._context.store.store_pair(blob_id, shard, held.metadata, primary, secondary, [lease])
        page, sets = blob_page(blob_id), (shard_set(shard, [0], blob_count=1),)
        record = make_holder_record(heir.identity, lease, page, sets, network=NETWORK, sequence=9, time=0).record
        bundle = RecordBundle(certificates=(), holders=(record,), retractions=())
        for holder in holders:
            await offer(heir, holder, page_of(machines[0], blob_id), bundle)
        renewed = await node_of(machines[0]).renew(reference)
        assert (renewed.healthy, renewed.n) == (4, 4)
        found = await node_of(heir)._context.store.certificates(blob_id)
        certificate = decode(found[0].body, Certificate, bytes_max=limits.RECORD_BYTES_MAX)
        named = open_envelope(certificate.lease, Lease, network=NETWORK).record.holders
        assert heir.peer_id in named
        assert loser.peer_id not in named

    simulate(rng, 6, body)


def test_records_that_come_before_a_node_has_its_own_record_wait_for_it(rng: random.Random) -> None:
    """A node that starts asks others for its newest record, and is connected to some already."""

    async def body(world: World, machines: list[Machine]) -> None:
        starting, asker, *others = machines
        blob_id = Reference.parse((await put(asker, rng.randbytes(5_000))).id).blob_id
        told = fitting_bundle(await records(asker, blob_id))
        await trio.sleep(PERIODS_S)  # So long that it knows all others also after a restart.
        world.kill(starting.name)
        inject = Injector(world)
        inject.pause(*(each.name for each in others))  # Their answers do not come: it goes on asking for a while.
        was_early = False
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.restart, starting.name)
            while not (was_early or starting.is_ready):
                await trio.sleep(0.05)
                with contextlib.suppress(PeerUnavailableError):  # Until it listens again.
                    has_record = starting.is_running and node_of(starting)._membership.has_record.is_set()
                    await offer(asker, starting, page_of(asker, blob_id), told)
                    was_early = not has_record
            inject.resume(*(each.name for each in others))
        assert was_early

    simulate(rng, 6, body)


def test_a_foreign_retraction_ends_nothing(rng: random.Random) -> None:
    async def body(_: World, machines: list[Machine]) -> None:
        result = await put(machines[0], rng.randbytes(5_000))
        reference = Reference.parse(result.id)
        pairs = [(reference.blob_id, ShardIndex(shard)) for shard in range(4)]
        foreign = [
            make_retraction(machines[0].identity, pair, network=NETWORK, sequence=10**6, time=0) for pair in pairs
        ]
        strange = [make_retraction(factories.key(7), pair, network=NETWORK, sequence=10**6, time=0) for pair in pairs]
        bundle = RecordBundle(
            certificates=(), holders=(), retractions=tuple(each.envelope for each in (*foreign, *strange))
        )
        await offer(machines[0], machines[1], page_of(machines[0], reference.blob_id), bundle)
        known = await records(machines[1], reference.blob_id)
        assert [each.signer_peer for each in known.retractions] == [machines[0].peer_id]
        assert node_of(machines[1]).refused()[Refused.RETRACTION_OF_NOTHING] == 7

    simulate(rng, 4, body)


def test_a_peer_that_brings_too_much_is_told_to_come_later(rng: random.Random, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("p2pnode.protocols.sync.CHECKS_PER_PEER_MAX", 3)

    async def body(_: World, machines: list[Machine]) -> None:
        blob_id = factories.blob_id()
        retractions = tuple(factories.signed(factories.retraction(blob_id), factories.key()).envelope for _ in range(4))
        bundle = RecordBundle(certificates=(), holders=(), retractions=retractions)
        with pytest.raises(PeerRefusedError, match="later again"):
            await offer(machines[0], machines[1], page_of(machines[0], blob_id), bundle)
        assert node_of(machines[1]).refused()[Refused.RECEIPTS_TOO_MANY] == 1

    simulate(rng, 4, body)


def test_a_peer_that_wants_the_same_for_ever_is_given_it_once(
    rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(_: World, machines: list[Machine]) -> None:
        result = await put(machines[0], rng.randbytes(5_000))
        blob_id = Reference.parse(result.id).blob_id
        given: list[int] = []

        async def want_all(_peer_id: PeerId, question: ExchangePage) -> PageExchanged:
            given.append(len(question.records.certificates))
            return PageExchanged(wants=question.has, records=EMPTY)

        monkeypatch.setattr(node_of(machines[1])._sync, "_answer_exchange", want_all)
        await node_of(machines[0])._sync._exchange(machines[1].peer_id, page_of(machines[0], blob_id))
        assert given == [0, 1]

    simulate(rng, 4, body)
