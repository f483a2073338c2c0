"""Every judge speaks when its invariant is broken, and only then: puts, what is readable, limits and space."""

import contextlib
from collections import OrderedDict
from dataclasses import replace

import pytest
import trio

from p2pnode import bft, node
from p2pnode.coding import encode
from p2pnode.errors import P2PNodeError
from p2pnode.protocols.repair.exchange import PairRecovery
from p2pnode.services.commit import CertifiedPage, Committer
from p2pnode.services.put import Putter, Written
from p2pnode.storage.quota import Reservation
from testnet.sim.admission import AUDITING, SIMULATED
from testnet.sim.directory import Tree
from testnet.sim.judges import Bench, puts, readable, space, tables
from testnet.sim.judges.pairs import pair_files
from testnet.sim.users import put
from testnet.sim.world import NETWORK_NAME
from tests.simulation.judged import DATA_BYTES, HOLDER, NODES, READER, WRITER, Court, OnShelf, hold_court, judgement
from wire import limits
from wire.ids import Axis, ShardIndex
from wire.protocol_ids import NetworkNames
from wire.references import Reference, ReferenceKind

TWO_SEGMENTS_BYTES = 600_000


async def _put(court: Court) -> None:
    await court.put()


# --------------------------------------------------------------------------------------------- puts-are-durable


def test_a_put_that_reports_success_too_early_is_found(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bft, "quorum", lambda n: n - bft.faulty(n) - 1)

    async def play(court: Court) -> None:
        court.world.fabric.partition([WRITER, READER], ["n2", "n3"])
        await court.put()

    found = judgement(seed, play, says="2 of 4 shards durably stored, 3 are needed")
    assert (found.judge, found.node) == (puts.NAME, WRITER)


def test_a_put_whose_holders_have_nothing_durable_is_found(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tree, "sync", lambda *_: None)
    assert judgement(seed, _put, says="0 of 4 shards durably stored").judge == puts.NAME


def test_a_put_that_sends_no_certificate_is_found(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async def certify(_: Committer, _certificate: object, peer_id: object, in_effect: set[object]) -> None:
        in_effect.add(peer_id)

    monkeypatch.setattr(Committer, "_certify", certify)
    assert judgement(seed, _put, says="sent no certificate to anybody").judge == puts.NAME


def test_a_put_that_does_not_wait_for_confirmations_is_found(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    certify = Committer._certify

    async def ask_one(committer: Committer, certificate: object, peer_id: object, in_effect: set[object]) -> None:
        in_effect.add(peer_id)
        if peer_id != committer._context.own and not asked:
            asked.append(peer_id)
            await certify(committer, certificate, peer_id, in_effect)  # type: ignore[arg-type]  # as they came

    monkeypatch.setattr(Committer, "_certify", ask_one)
    assert judgement(seed, _put, says="2 of 4 shards confirmed, 3 are needed").judge == puts.NAME


def test_a_certificate_with_receipts_that_the_put_never_collected_is_found(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    late: list[Bench] = []
    certify_page = Committer.certify_page

    async def play(court: Court) -> None:
        async def certify_unheard(committer: Committer, *facts: object) -> CertifiedPage:
            late.append(Bench(court.world))  # It has heard none of the receipts.
            return await certify_page(committer, *facts)  # type: ignore[arg-type]  # as they came

        monkeypatch.setattr(Committer, "certify_page", certify_unheard)
        result = await put(court.machine(WRITER), bytes(DATA_BYTES))
        late[-1].put_done(WRITER, result)

    found = judgement(seed, play, says="that this put never collected")
    assert (found.judge, found.node) == (puts.NAME, WRITER)


def test_a_put_that_tells_of_another_n_than_it_leased_is_found(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Putter.put

    async def boast(putter: Putter, *facts: object, **options: object) -> Written:
        written = await real(putter, *facts, **options)  # type: ignore[arg-type]  # as they came
        return replace(written, result=replace(written.result, n=7))

    monkeypatch.setattr(Putter, "put", boast)
    assert judgement(seed, _put, says="it told of n = 7, its lease of n = 4").judge == puts.NAME


# ---------------------------------------------------------------------------------------- certified-is-readable


def test_pairs_that_give_other_bytes_back_are_found(seed: int) -> None:
    async def play(court: Court) -> None:
        await court.put()
        court.shelf[-1] = OnShelf(court.shelf[-1].id, bytes(DATA_BYTES))
        court.check_only(readable.NAME)

    assert judgement(seed, play, says="whole pairs give other bytes back").judge == readable.NAME


def test_segments_that_give_other_bytes_back_are_found(seed: int) -> None:
    async def play(court: Court) -> None:
        await court.put(TWO_SEGMENTS_BYTES)
        court.check_only(readable.NAME)
        court.shelf[-1] = OnShelf(court.shelf[-1].id, bytes(TWO_SEGMENTS_BYTES))
        court.check_only(readable.NAME)

    assert judgement(seed, play, says="whole pairs give other bytes back").judge == readable.NAME


def test_a_file_whose_root_is_no_manifest_is_found(seed: int) -> None:
    async def play(court: Court) -> None:
        result = await court.put()
        file = Reference(ReferenceKind.FILE, Reference.parse(result.id).blob_id)
        court.shelf[-1] = OnShelf(file.text(), court.shelf[-1].data)
        court.check_only(readable.NAME)

    assert judgement(seed, play, says="give no manifest").judge == readable.NAME


def test_nothing_is_demanded_of_fewer_than_p_pairs(seed: int) -> None:
    async def play(court: Court) -> None:
        await court.put()
        assert court.judge(readable.NAME).check() == 1
        for name in ("n1", "n2", "n3"):
            court.world.kill(name)
        assert court.judge(readable.NAME).check() == 0

    hold_court(seed, play)


# -------------------------------------------------------------------------------------------------- limits-held


def test_a_table_beyond_its_named_limit_is_found(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async def play(court: Court) -> None:
        court.check_only(tables.NAME)
        monkeypatch.setitem(tables.TABLES, "MemberTable._members", NODES - 2)
        court.check_only(tables.NAME)

    found = judgement(seed, play, says=f"has {NODES - 1} entries, {NODES - 2} are allowed")
    assert (found.judge, found.subject) == (tables.NAME, "MemberTable._members")


@pytest.mark.parametrize(
    "table", [dict.fromkeys(range(65)), list(range(65)), set(range(65)), OrderedDict.fromkeys("ab")]
)
def test_a_table_without_a_named_limit_must_stay_small(seed: int, table: object) -> None:
    assert hasattr(table, "__len__")
    is_small = len(table) < tables.UNNAMED_MAX

    async def play(court: Court) -> None:
        for machine in court.world.running():
            vars(machine.node)["_planted"] = {"inside": table}
        court.check_only(tables.NAME)

    if is_small:
        hold_court(seed, play)
    else:
        assert judgement(seed, play, says="has 65 entries, 64 are allowed").subject == "Node._planted[]"


@pytest.mark.parametrize("count", [tables.UNNAMED_MAX + 1, 2 * limits.SHARDS_MAX + 1])
def test_a_table_of_what_is_under_way_has_a_limit_of_its_own(seed: int, count: int) -> None:
    recovery = PairRecovery(encode(b"x", n=4).metadata, ShardIndex(0))
    recovery.bad |= {(ShardIndex(number), Axis.PRIMARY) for number in range(count)}

    async def play(court: Court) -> None:
        for machine in court.world.running():
            vars(machine.node)["_planted"] = recovery
        court.check_only(tables.NAME)

    if count <= 2 * limits.SHARDS_MAX:
        hold_court(seed, play)
    else:
        assert judgement(seed, play, says=f"has {count} entries").subject == "PairRecovery.bad"


def test_every_table_that_is_named_exists_in_a_node(seed: int) -> None:
    async def play(court: Court) -> None:
        await court.put()
        await court.get()
        life = court.machine(WRITER).life
        assert life is not None

        def missing() -> set[str]:
            return set(tables.TABLES) - {table for table, _ in tables.tables_of(life.node, *life.network.handlers)}

        with contextlib.suppress(trio.TooSlowError):  # Some come with the first comparison of receipts, or commitment.
            await court.world.wait_until(lambda: not missing())
        assert missing() == set()

    hold_court(seed, play, profile=replace(AUDITING, epoch_s=60, commit_after_s=120))


def test_streams_that_are_not_let_go_of_are_found(seed: int) -> None:
    async def play(court: Court) -> None:
        life, peer_id = court.machine(WRITER).life, court.machine(READER).peer_id
        assert life is not None
        protocol = NetworkNames(NETWORK_NAME, SIMULATED.shared()).protocol("read")
        for _ in range(tables.STREAMS_WITH_PEER_MAX + 1):
            await life.network.open_stream(peer_id, protocol)
        court.check_only(tables.NAME)

    assert judgement(seed, play, says="streams are open with one peer").subject == "streams"


def test_tasks_that_nobody_asked_for_are_found(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async def crowd(*_: object) -> None:
        async with trio.open_nursery() as nursery:
            for _number in range(tables.SERVICE_TASKS_MAX * 2):
                nursery.start_soon(trio.sleep_forever)

    monkeypatch.setattr(node, "collect_regularly", crowd)

    async def play(court: Court) -> None:
        court.check_only(tables.NAME)

    assert judgement(seed, play, says="tasks run with").subject == "tasks"


# ------------------------------------------------------------------------------------------------ space-adds-up


SHORT = replace(SIMULATED, provisional_lease_s=1200, collection_after_uptime_s=300.0, collect_every_s=60.0)
"""Leases that end within the virtual time of a quick test."""


async def _fail_to_put(court: Court) -> list[str]:
    """Upload to too few nodes; return the names of those on which provisional pairs are now."""
    court.world.fabric.partition([WRITER, READER], ["n2", "n3"])
    with pytest.raises(P2PNodeError):
        await court.put()
    court.world.fabric.heal()
    return [each.name for each in court.world.running() if any(pair_files(each.files))]


def test_an_account_that_does_not_agree_with_the_disk_is_found(seed: int) -> None:
    async def play(court: Court) -> None:
        await court.put()
        court.check_only(space.NAME)
        name, key = court.pair_of(HOLDER)
        court.machine(HOLDER).files.write_new(f"{name}.tmp-9", [b"not counted"])
        court.check_only(space.NAME)
        court.machine(HOLDER).files.write_new(name.replace(f"-{key.shard}.pair", "-9.pair"), [b"counted"])
        court.check_only(space.NAME)

    found = judgement(seed, play, says="it accounts for")
    assert (found.judge, found.node) == (space.NAME, HOLDER)


def test_room_that_stays_reserved_is_found(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Reservation, "release", lambda _: None)

    async def play(court: Court) -> None:
        for wait_s in (0.0, space.RESERVED_S_MAX, 1.0):
            await trio.sleep(wait_s)
            await court.put()
            court.check_only(space.NAME)

    assert judgement(seed, play, says="it has had room set aside for").judge == space.NAME


def test_a_leased_pair_that_goes_early_is_found(seed: int) -> None:
    async def play(court: Court) -> None:
        await court.put()
        court.check_only(space.NAME)
        court.world.kill(HOLDER)
        court.machine(HOLDER).files.remove(court.pair_of(HOLDER)[0])
        court.check_only(space.NAME)

    assert judgement(seed, play, says="before its lease ends").node == HOLDER


def test_a_clock_that_jumps_ahead_collects_nothing_early(seed: int) -> None:
    async def play(court: Court) -> None:
        holders = await _fail_to_put(court)
        await trio.sleep(2 * SHORT.collection_after_uptime_s)
        court.check()
        for name in holders:
            court.machine(name).clock.set_wrong(30 * 86_400.0)
        await trio.sleep(3 * SHORT.collect_every_s)
        assert [each.name for each in court.world.running() if any(pair_files(each.files))] == holders
        court.check()

    hold_court(seed, play, profile=replace(SHORT, provisional_lease_s=4 * 3600))


def test_what_is_provisional_is_gone_after_its_lease_and_what_is_certified_stays(seed: int) -> None:
    async def play(court: Court) -> None:
        holders = await _fail_to_put(court)
        assert holders
        court.check()
        await trio.sleep(1000)
        assert [each.name for each in court.world.running() if any(pair_files(each.files))] == holders
        await court.put()
        court.check()
        certified = {key for each in court.world.running() for _, key in pair_files(each.files)}
        await trio.sleep(1500)
        court.check()
        left = [key for each in court.world.running() for _, key in pair_files(each.files)]
        assert len(left) == NODES
        assert set(left) < certified

    hold_court(seed, play, profile=SHORT)


def test_what_is_provisional_and_stays_is_found(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async def sleep(*_: object) -> None:
        await trio.sleep_forever()

    monkeypatch.setattr(node, "collect_regularly", sleep)

    async def play(court: Court) -> None:
        await _fail_to_put(court)
        court.check()
        await trio.sleep(1200)
        court.check()
        allowed_s = space.COLLECTIONS_MISSED_MAX * SHORT.collect_every_s + SHORT.member_record_every_s
        await trio.sleep(limits.CLOCK_SKEW_SECONDS + allowed_s)
        court.check()

    assert judgement(seed, play, says="after its last lease", profile=SHORT).judge == space.NAME
