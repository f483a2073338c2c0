"""Each bad habit does what its name says: an honest peer meets it, and the node behind it is the one that ships."""

from collections.abc import Callable, Sequence

import pytest
import trio

from p2pnode import bft
from p2pnode.coding import BlobMetadata, verify_sliver
from p2pnode.coding.errors import CodingError
from p2pnode.errors import IntegrityError, P2PNodeError, PeerFaultError, PeerRefusedError, PeerUnavailableError
from p2pnode.membership.refusals import Refused
from p2pnode.node import Node
from p2pnode.protocols.store import open_metadata
from p2pnode.storage.names import PAIRS_DIRECTORY
from testnet.sim.fabric import Packet
from testnet.sim.faults import FaultKind
from testnet.sim.habits.bending import BadHabit
from testnet.sim.habits.capacity_lies import CapacityLie, CapacityLies
from testnet.sim.habits.clique import CliqueCertificates
from testnet.sim.habits.dishonest_writer import DishonestWriter
from testnet.sim.habits.equivocation import SPEAK_EVERY_S, Equivocation
from testnet.sim.habits.flood import A_SECOND, PAUSE_S, WAVE_S, Flood
from testnet.sim.habits.foreign_receipts import SPEAK_EVERY_S as SAY_EVERY_S
from testnet.sim.habits.foreign_receipts import ForeignReceipts
from testnet.sim.habits.forged_receipts import ForgedReceipts
from testnet.sim.habits.many_identities import ManyIdentities
from testnet.sim.habits.never_reads import HOLD_S, QUESTIONS_PER_STREAM, STREAMS_PER_PEER, VICTIMS, NeverReads
from testnet.sim.habits.replay import Replay
from testnet.sim.habits.sign_and_drop import SignAndDrop
from testnet.sim.habits.wrong_bytes import WrongBytes
from testnet.sim.users import stat
from testnet.sim.world import World, run_world
from tests.simulation.habit_lab import (
    BAD,
    LONG,
    NODES,
    Overheard,
    ask,
    get,
    primary_at,
    put,
    record_of,
    shards_of,
    start,
)
from wire import limits
from wire.ids import Axis, BlobId, PeerId
from wire.messages import BlobRecord, GetRecord, GetSliver, NoRecord, SliverData, StorePair


def fired(world: World) -> int:
    return world.log.fired[FaultKind.BYZANTINE]


def test_the_node_behind_a_habit_is_the_class_that_ships(seed: int) -> None:
    async def scenario(world: World) -> None:
        machine = await world.start_node("n0", habit=WrongBytes())
        assert type(machine.node) is Node
        assert not world.is_honest("n0")

    run_world(seed, scenario)


@pytest.mark.parametrize("keep_s", [0.0, 20.0])
def test_who_signs_and_drops_has_a_receipt_in_the_certificate_and_no_sliver(seed: int, keep_s: float) -> None:
    async def scenario(world: World) -> None:
        habit = SignAndDrop(keep_s=keep_s)
        bad = await start(world, habit)
        stored, data = await put(world, "n1")
        assert stored.healthy == NODES, "its receipt counts as any other"
        blob_id = BlobId.parse(stored.id)
        questions = [GetSliver(blob_id=blob_id, axis=Axis.PRIMARY, index=index) for index in range(stored.n)]
        if keep_s:
            assert await answers_of(world, questions) == 1, "while it keeps its sliver it serves it"
            await trio.sleep(keep_s + 5)
        assert await answers_of(world, questions) == 0
        assert bad.files.names(PAIRS_DIRECTORY) == [] or not any(
            bad.files.names(f"{PAIRS_DIRECTORY}/{prefix}") for prefix in bad.files.names(PAIRS_DIRECTORY)
        )
        assert habit.done.total() == fired(world) == 1
        assert await get(world, "n2", stored.id) == data

    run_world(seed, scenario)


async def answers_of(world: World, questions: Sequence[GetSliver]) -> int:
    """Return how many of these slivers the bad node gives out."""
    given = 0
    for question in questions:
        try:
            given += isinstance((await ask(world, "n2", question)).message, SliverData)
        except PeerRefusedError:
            continue
    return given


def test_who_serves_wrong_bytes_never_gives_a_sliver_that_fits(seed: int) -> None:
    async def scenario(world: World) -> None:
        habit = WrongBytes()
        await start(world, habit)
        for _ in range(40):  # Until it has a sliver that readers ask for first.
            stored, data = await put(world, "n1")
            blob_id, record = BlobId.parse(stored.id), await record_of(world, stored.id)
            (shard,) = await shards_of(world, BAD, blob_id)
            question = primary_at(record, blob_id, shard)
            if question.index < bft.primary_source(stored.n):
                break
        else:
            pytest.fail("it never held a source sliver")
        metadata = open_metadata(blob_id, record.metadata)
        for _ in range(12):
            assert not await gives(world, question, metadata)
        for name in ("n0", "n2", "n3", "n5", "n6"):
            assert await get(world, name, stored.id) == data
        assert "a wrong sliver" in habit.done
        assert fired(world) >= 12

    run_world(seed, scenario)


async def gives(world: World, question: GetSliver, metadata: BlobMetadata) -> bool:
    """Tell whether the bad node's answer is the sliver that was asked for."""
    try:
        reply = await ask(world, "n2", question)
        verify_sliver(metadata, Axis.PRIMARY, question.index, reply.payload)
    except (PeerFaultError, PeerUnavailableError, CodingError):
        return False
    return True


def test_a_forged_receipt_of_any_kind_counts_for_nothing(seed: int) -> None:
    async def scenario(world: World) -> None:
        habit = ForgedReceipts()
        await start(world, habit)
        every = habit.ways
        for way, share_too_few in [*((way, 0.0) for way in every), (every[0], 1.0)]:
            habit.ways, habit.share_too_few = (way,), share_too_few
            before = habit.done.total()
            stored, data = await put(world, "n1")
            assert stored.healthy == NODES - 1, f"a receipt {way.__name__} counted"
            assert habit.done.total() > before
            assert await get(world, "n2", stored.id) == data
        assert len(habit.done) == len(every) + 1

    run_world(seed, scenario)


def test_receipts_and_retractions_of_a_clique_are_met_refused_and_counted_and_change_nothing(seed: int) -> None:
    async def scenario(world: World) -> None:
        habit = ForeignReceipts()
        await start(world, habit)
        ways = list(habit.ways)
        stored, data = await put(world, "n1")
        for way in ways:
            habit.ways = (way,)
            await trio.sleep(SAY_EVERY_S + 1.0)
            assert habit.done[way.__name__.strip("_").replace("_", " ")]
        for name in ("n0", "n2", "n3"):
            assert (await stat(world.machines[name], stored.id)).healthy == NODES
            refused = world.machines[name].node.refused()
            expected = {Refused.RECEIPT_UNASSIGNED, Refused.RECEIPT_FORGED, Refused.RETRACTION_OF_NOTHING}
            assert expected <= refused.keys()
            assert await get(world, name, stored.id) == data

    run_world(seed, scenario)


class TellsSomeOnly(Equivocation):
    """Tells n1 the other story, and nobody else."""

    def is_of_other_half(self, peer_id: PeerId) -> bool:
        """Whether it is n1."""
        return peer_id == self.world.machines["n1"].peer_id


def test_who_equivocates_tells_two_honest_peers_two_things_at_once(seed: int) -> None:
    async def scenario(world: World) -> None:
        habit = TellsSomeOnly()
        bad = await start(world, habit)
        stored, data = await put(world, "n1")
        question = GetRecord(blob_id=BlobId.parse(stored.id), wants_certificates=False)
        await trio.sleep(2 * SPEAK_EVERY_S)
        assert isinstance((await ask(world, "n1", question)).message, NoRecord)
        assert isinstance((await ask(world, "n2", question)).message, BlobRecord)
        assert habit.done["signed two records with one sequence"]
        assert habit.done["announced two things with one sequence"]
        rows = [
            (name, row.capacity_bytes, row.addresses)
            for name in ("n1", "n2")
            for row in world.machines[name].node.peers()
            if row.peer_id == bad.node.info().peer_id
        ]
        told, told_other = rows
        assert told[1:] != told_other[1:]
        assert await get(world, "n3", stored.id) == data

    run_world(seed, scenario)


def test_who_replays_asks_honest_peers_to_keep_what_others_wrote(seed: int) -> None:
    async def scenario(world: World) -> None:
        habit = Replay()
        bad = await start(world, habit)
        stored, data = await put(world, "n1")
        overheard = Overheard(world, BAD)
        used = {machine.name: machine.node.info().used_bytes for machine in world.running()}
        await trio.sleep(120)
        again = [said.message for said in overheard.said if isinstance(said.message, StorePair)]
        assert again
        assert all(lease.signer != bad.owner.public for message in again for lease in message.leases)
        assert habit.done["gossiped it again"]
        assert await get(world, "n3", stored.id) == data
        await trio.sleep(120)
        # One further pair of a blob for each time that it was asked for the first time; nothing grows without end.
        grown = [machine.node.info().used_bytes - used[machine.name] for machine in world.running()]
        assert max(grown) <= max(used.values())

    run_world(seed, scenario)


def test_a_flood_reaches_an_honest_peer_and_its_users_are_served_meanwhile(seed: int) -> None:
    async def scenario(world: World) -> None:
        habit = Flood()
        await start(world, habit)
        stored, data = await put(world, "n1")
        overheard = Overheard(world, BAD)
        await trio.sleep(2 * PAUSE_S)
        waves: dict[int, int] = {}
        for moment, packet in overheard.packets:
            waves[int(moment)] = waves.get(int(moment), 0) + bool(packet.data)
        assert max(waves.values()) > A_SECOND * WAVE_S / 10
        assert habit.done["gossiped garbage"] + habit.done["gossiped too often"] > A_SECOND * WAVE_S / 10
        assert habit.done["sent what is no message"]
        for name in ("n0", "n2", "n5"):
            started = trio.current_time()
            assert await get(world, name, stored.id) == data
            assert trio.current_time() - started < 5

    run_world(seed, scenario)


@pytest.mark.parametrize("lie", list(CapacityLie))
def test_who_lies_about_its_room_is_believed_and_writes_succeed_without_it(seed: int, lie: CapacityLie) -> None:
    async def scenario(world: World) -> None:
        habit = CapacityLies(lie)
        bad = await start(world, habit)
        has_room = 0 if lie is CapacityLie.HAS_NONE else limits.UINT64_MAX
        rows = [row for row in world.machines["n1"].node.peers() if row.peer_id == bad.node.info().peer_id]
        assert [(row.capacity_bytes, row.free_bytes) for row in rows] == [(has_room, has_room)]
        stored, data = await put(world, "n1", size=LONG)
        assert stored.healthy == NODES - (lie is not CapacityLie.HAS_NONE)
        assert await get(world, "n2", stored.id) == data
        assert set(habit.done) - {"lied about its room"} or lie is CapacityLie.HAS_NONE

    run_world(seed, scenario)


def test_who_never_reads_holds_no_more_than_some_windows_and_honest_reads_go_on(seed: int) -> None:
    async def scenario(world: World) -> None:
        habit = NeverReads()
        await start(world, habit)
        stored, data = await put(world, "n1", size=LONG)
        sent: dict[int, int] = {}

        def hear(packet: Packet) -> None:
            if packet.target == BAD:
                sent[packet.stream] = sent.get(packet.stream, 0) + len(packet.data)

        world.fabric.observers.append(hear)
        await trio.sleep(HOLD_S)
        asked = VICTIMS * STREAMS_PER_PEER * QUESTIONS_PER_STREAM
        assert asked / 2 <= habit.done.total() <= 2 * asked
        assert sum(count > 64 * 1024 for count in sent.values()) > 0, "answers were sent, and nobody took them"
        for name in ("n0", "n2", "n5"):
            started = trio.current_time()
            assert await get(world, name, stored.id) == data
            assert trio.current_time() - started < 5

    run_world(seed, scenario)


def test_many_identities_of_one_block_are_members_and_get_one_shard_of_a_blob(seed: int) -> None:
    crowd = 10

    async def scenario(world: World) -> None:
        habit = ManyIdentities(crowd)
        bad = await start(world, habit)
        block = bad.address.split("/")[2].rpartition(".")[0]
        await world.wait_until(lambda: world.machines["n1"].node.info().members >= NODES - 1 + crowd)
        await trio.sleep(10)
        rows = [row for row in world.machines["n1"].node.peers() if f"/{block}." in str(row.addresses)]
        assert len(rows) > crowd
        for _ in range(3):
            stored, data = await put(world, "n1", shards=NODES)  # As many as there are failure domains.
            held = [name for name in sorted(world.machines) if await shards_of(world, name, BlobId.parse(stored.id))]
            honest = [name for name in held if world.is_honest(name)]
            assert stored.n - len(honest) <= 1, "all identities of one /24 together count as one holder"
            assert await get(world, "n2", stored.id) == data
        await trio.sleep(300)
        assert habit.done["let an identity leave"] >= 2
        assert len([each for each in world.running() if each.name.startswith(f"{BAD}.")]) == crowd

    run_world(seed, scenario)


def test_a_dishonest_writer_gets_nothing_taken_that_breaks_a_rule(seed: int) -> None:
    async def scenario(world: World) -> None:
        habit = DishonestWriter()
        await start(world, habit)
        await world.wait_until(lambda: habit.done["sent a clique's certificate of a blob that is held"] > 0)
        await trio.sleep(60)
        assert habit.wrongly_taken == []
        assert len([deed for deed in habit.done if deed.startswith("sent ")]) == 13
        assert habit.crooked
        for _ in range(CROOKED_ROUNDS):
            for name in ("n0", "n1", "n2"):
                if IntegrityError in await errors_of_reading(world, name, habit):
                    return
            await trio.sleep(60)
        pytest.fail("no reader met a spoilt sliver")

    run_world(seed, scenario)


CROOKED_ROUNDS = 20
"""Minutes in which the writer makes more blobs: one may be such that every reader takes slivers that are right."""


async def errors_of_reading(world: World, name: str, habit: DishonestWriter) -> set[type[Exception]]:
    """Read all crooked blobs through one node; return the errors. What is read must be what the metadata allows."""
    errors: set[type[Exception]] = set()
    for crooked in habit.crooked:
        try:
            assert await get(world, name, crooked.blob_id.text()) == crooked.data
        except P2PNodeError as error:
            errors.update(type(error).__mro__)
    return errors


def test_a_cliques_certificate_misleads_a_reader_and_keeps_nothing_from_it(seed: int) -> None:
    async def scenario(world: World) -> None:
        habit = CliqueCertificates()
        await start(world, habit)
        for _ in range(20):
            # Four of seven hold it, so that the others have to ask.
            stored, data = await put(world, "n1", shards=4)
            for name in ("n0", "n2", "n3", "n5", "n6"):
                assert await get(world, name, stored.id) == data
            if habit.done["named holders that never were"]:
                return
        pytest.fail("nobody asked the clique")

    run_world(seed, scenario)


@pytest.mark.parametrize("make", [Replay, Flood])
def test_a_habit_does_the_same_in_every_run_of_a_seed(seed: int, make: Callable[[], BadHabit]) -> None:
    async def scenario(world: World) -> None:
        await start(world, make())
        stored, _ = await put(world, "n1")
        await trio.sleep(45)
        await get(world, "n2", stored.id)

    assert run_world(seed, scenario).trace_hash == run_world(seed, scenario).trace_hash
