"""The parts of gossip that decide: budgets, memory, standing and the mesh of a topic. No network is needed."""

from __future__ import annotations

import random

import pytest

from p2pnode.network import gossip_limits, gossip_standing
from p2pnode.network.gossip_memory import HeldMessages, OwedNames, RecentMessages, SeenNames
from p2pnode.network.gossip_mesh import GraftAnswer, TopicMesh
from p2pnode.network.gossip_pace import Pace
from p2pnode.network.gossip_standing import FAULTS_FREE, GRAYLIST_BELOW, HALF_LIFE_S, NEIGHBOURS_FREE, Standings
from tests import factories
from wire.ids import PeerId

PEERS = [factories.peer_id(number) for number in range(1, 41)]
PEER = PEERS[0]
PUBLIC_HOST = "8.8.8.8"


# The budget.


def test_a_burst_costs_no_time_and_more_waits_until_it_is_paid_for() -> None:
    pace = Pace(per_s=10, burst=20, now=0)
    assert [pace.spend(5, now=0) for _ in range(4)] == [0, 0, 0, 0]
    assert pace.spend(5, now=0) == pytest.approx(0.5)
    assert pace.spend(5, now=0) == pytest.approx(1.0)
    assert pace.spend(0, now=1.0) == 0


def test_a_long_silence_saves_no_more_than_one_burst() -> None:
    pace = Pace(per_s=10, burst=20, now=0)
    assert pace.spend(20, now=1_000) == 0
    assert pace.spend(1, now=1_000) == pytest.approx(0.1)


# Memory.


def test_a_name_is_known_for_its_time_and_then_forgotten() -> None:
    seen = SeenNames(now=0)
    seen.add(b"name", now=0)
    seen.age(now=gossip_limits.SEEN_S)
    assert b"name" in seen
    seen.age(now=2 * gossip_limits.SEEN_S)
    assert b"name" not in seen


def test_names_of_a_flood_never_take_more_than_two_generations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gossip_limits, "SEEN_MAX", 10)
    seen = SeenNames(now=0)
    for number in range(1_000):
        seen.add(b"%d" % number, now=0)
        assert len(seen) <= 20
    assert b"999" in seen


def test_kept_messages_are_offered_for_some_heartbeats_and_served_for_more() -> None:
    recent = RecentMessages()
    recent.put(b"name", "topic", b"frame")
    recent.put(b"other", "elsewhere", b"frame")
    for _ in range(gossip_limits.OFFERED_HEARTBEATS):
        assert recent.names("topic") == [b"name"]
        recent.age()
    assert recent.names("topic") == []
    assert recent.serve(b"name", PEER) == b"frame"
    for _ in range(gossip_limits.RECENT_HEARTBEATS):
        recent.age()
    assert recent.serve(b"name", PEER) is None
    assert recent.kept_bytes == 0


def test_nobody_gets_a_message_again_and_again_by_asking() -> None:
    recent = RecentMessages()
    recent.put(b"name", "topic", b"frame")
    answers = [recent.serve(b"name", PEER) for _ in range(gossip_limits.SERVED_TIMES_MAX + 2)]
    assert answers == [b"frame"] * gossip_limits.SERVED_TIMES_MAX + [None, None]
    assert recent.serve(b"name", PEERS[1]) == b"frame"


def test_kept_messages_never_take_more_than_their_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gossip_limits, "RECENT_BYTES_MAX", 100)
    recent = RecentMessages()
    for number in range(50):
        recent.put(b"%d" % number, "topic", bytes(10))
        if number % 7 == 0:
            recent.age()
        assert recent.kept_bytes <= 100
    assert recent.serve(b"49", PEER) == bytes(10)
    assert recent.serve(b"39", PEER) is None


def test_a_neighbour_is_owed_the_names_of_those_messages_that_it_did_not_show_to_have() -> None:
    owed = OwedNames[bytes]()
    one, other, gone = PEERS[:3]
    owed.owe([one, other, gone], b"first", "topic")
    owed.owe([one, other], b"second", "topic")
    owed.owe([one], b"third", "elsewhere")
    owed.has(other, [b"second", b"unknown"])
    owed.has(PEERS[3], [b"first"])
    owed.forget(gone)
    assert owed.take() == [
        (one, "topic", [b"first", b"second"]),
        (one, "elsewhere", [b"third"]),
        (other, "topic", [b"first"]),
    ]
    assert owed.take() == []


def test_the_names_that_a_neighbour_is_owed_are_bounded_and_the_oldest_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gossip_limits, "OFFERED_MAX", 3)
    owed = OwedNames[int]()
    for number in range(10):
        owed.owe([PEER], number, "topic")
    assert owed.take() == [(PEER, "topic", [7, 8, 9])]


# Standing.


def test_one_rejected_message_leaves_the_mesh_three_are_graylisted_and_time_heals() -> None:
    standings = Standings()
    assert standings.of(PEER, now=0) == 0
    standings.was_rejected(PEER, now=0)
    assert gossip_standing.GOSSIP_BELOW < standings.of(PEER, now=0) < gossip_standing.LEAVE_MESH_BELOW
    standings.was_rejected(PEER, now=0)
    assert GRAYLIST_BELOW < standings.of(PEER, now=0) <= gossip_standing.PUBLISH_BELOW
    standings.was_rejected(PEER, now=0)
    assert standings.of(PEER, now=0) < GRAYLIST_BELOW
    assert standings.of(PEER, now=120) > GRAYLIST_BELOW
    assert standings.of(PEER, now=10 * HALF_LIFE_S) == pytest.approx(0, abs=0.01)


def test_even_the_worst_peer_is_heard_again_after_three_half_lives() -> None:
    standings = Standings()
    for _ in range(10_000):
        standings.was_rejected(PEER, now=0)
    assert standings.of(PEER, now=0) < GRAYLIST_BELOW
    assert standings.of(PEER, now=3 * HALF_LIFE_S) > GRAYLIST_BELOW


def test_news_cannot_be_saved_up_to_pay_for_garbage() -> None:
    standings = Standings()
    for _ in range(10_000):
        standings.brought_news(PEER, now=0)
    assert 0 < standings.of(PEER, now=0) <= 10
    for _ in range(4):
        standings.was_rejected(PEER, now=0)
    assert standings.of(PEER, now=0) < GRAYLIST_BELOW


def test_bad_luck_with_the_protocol_is_free_and_breaking_it_is_not() -> None:
    standings = Standings()
    for _ in range(int(FAULTS_FREE)):
        standings.broke_rules(PEER, now=0)
    assert standings.of(PEER, now=0) == 0
    for _ in range(5):
        standings.broke_rules(PEER, now=0)
    assert standings.of(PEER, now=0) < GRAYLIST_BELOW


@pytest.mark.parametrize("host", ["127.0.0.1", "192.168.1.7", "10.0.0.1", "fe80::1%eth0", "::1", "memory"])
def test_a_hundred_honest_nodes_behind_one_private_address_are_no_crowd(host: str) -> None:
    standings = Standings()
    for peer_id in PEERS:
        standings.arrived(peer_id, host)
    assert {standings.of(peer_id, now=0) for peer_id in PEERS} == {0}


def test_a_crowd_behind_one_public_address_loses_standing_until_it_leaves() -> None:
    standings = Standings()
    for count, peer_id in enumerate(PEERS[:20], start=1):
        standings.arrived(peer_id, PUBLIC_HOST)
        assert (standings.of(PEER, now=0) < 0) is (count > NEIGHBOURS_FREE)
    assert standings.of(PEER, now=0) < GRAYLIST_BELOW
    for peer_id in PEERS[1:20]:
        standings.left(peer_id)
    assert standings.of(PEER, now=0) == 0


def test_the_table_of_deeds_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gossip_limits, "STANDINGS_MAX", 5)
    standings = Standings()
    for peer_id in PEERS:
        standings.was_rejected(peer_id, now=0)
    assert len(standings) == 5
    assert standings.of(PEERS[-1], now=0) < 0


# The mesh.


def _mesh(count: int) -> TopicMesh:
    mesh = TopicMesh()
    for peer_id in PEERS[:count]:
        mesh.join(peer_id, now=0, standing=0)
    return mesh


def _good(_peer_id: PeerId) -> float:
    return 0.0


def _same(peers: object) -> list[PeerId]:
    assert isinstance(peers, list)
    return list(peers)


def test_newcomers_are_asked_in_until_there_are_enough() -> None:
    mesh = TopicMesh()
    asked = [mesh.join(peer_id, now=0, standing=0) for peer_id in PEERS[:10]]
    assert asked == [True] * gossip_limits.DEGREE_LOW + [False] * 6
    assert not TopicMesh().join(PEER, now=0, standing=-1)


def test_a_mesh_that_is_too_small_is_filled_to_its_degree() -> None:
    mesh = _mesh(20)
    for peer_id in mesh.members[:2]:
        mesh.leave(peer_id)
    changes = mesh.heartbeat(now=1, standing=_good, shuffle=_same)
    assert len(changes.grafts) == 4
    assert len(mesh.members) == gossip_limits.DEGREE
    assert mesh.heartbeat(now=2, standing=_good, shuffle=_same).grafts == []


def test_of_a_mesh_that_is_too_large_the_best_always_stay(rng: random.Random) -> None:
    mesh = _mesh(40)
    for peer_id in PEERS:
        mesh.graft(peer_id, now=0, standing=0)
    inside = mesh.members
    assert len(inside) == gossip_limits.DEGREE_HIGH + 1  # Further ones are refused.
    best = set(rng.sample(inside, gossip_limits.DEGREE_BEST))

    def shuffle(peers: object) -> list[PeerId]:
        return rng.sample(_same(peers), len(_same(peers)))

    changes = mesh.heartbeat(now=1, standing=lambda peer_id: float(peer_id in best), shuffle=shuffle)
    assert best <= set(mesh.members)
    assert len(mesh.members) == gossip_limits.DEGREE
    assert sorted(changes.prunes + mesh.members) == sorted(inside)


def test_a_peer_of_bad_standing_is_put_out_and_not_asked_in() -> None:
    mesh = _mesh(5)
    bad = mesh.members[0]
    changes = mesh.heartbeat(now=1, standing=lambda peer_id: -1.0 if peer_id == bad else 0.0, shuffle=_same)
    assert changes.prunes == [bad]
    assert changes.grafts == [PEERS[4]]
    assert bad not in mesh.members
    assert mesh.graft(bad, now=100, standing=-1) is GraftAnswer.REFUSED


def test_who_comes_back_too_early_is_told_again_and_blamed() -> None:
    mesh = _mesh(1)
    mesh.prune(PEER, now=0, backoff_s=60)
    assert mesh.graft(PEER, now=30, standing=0) is GraftAnswer.TOO_EARLY
    assert mesh.graft(PEER, now=89, standing=0) is GraftAnswer.REFUSED  # By a second: its clock may be a little fast.
    assert mesh.graft(PEER, now=149, standing=0) is GraftAnswer.WELCOME


def test_leaving_and_coming_back_does_not_shorten_the_wait() -> None:
    mesh = _mesh(1)
    mesh.prune(PEER, now=0, backoff_s=60)
    mesh.leave(PEER)
    assert not mesh.join(PEER, now=1, standing=0)
    assert mesh.heartbeat(now=2, standing=_good, shuffle=_same).grafts == []
    assert mesh.heartbeat(now=61, standing=_good, shuffle=_same).grafts == [PEER]


def test_no_peer_can_keep_us_away_for_ever() -> None:
    mesh = _mesh(1)
    mesh.prune(PEER, now=0, backoff_s=2.0**63)
    later = gossip_limits.BACKOFF_MAX_S + 1
    assert mesh.heartbeat(now=later, standing=_good, shuffle=_same).grafts == [PEER]


def test_who_takes_no_part_is_neither_let_in_nor_remembered() -> None:
    mesh = TopicMesh()
    assert mesh.graft(PEER, now=0, standing=0) is GraftAnswer.STRANGER
    mesh.prune(PEER, now=0, backoff_s=60)
    assert mesh.backoff_count == 0


def test_the_table_of_those_who_are_too_early_is_bounded_and_empties(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gossip_limits, "BACKOFFS_MAX", 5)
    mesh = _mesh(40)
    for peer_id in PEERS:
        mesh.prune(peer_id, now=0, backoff_s=60)
    assert mesh.backoff_count == 5
    mesh.heartbeat(now=61, standing=_good, shuffle=_same)
    assert mesh.backoff_count == 0


def test_names_are_offered_outside_the_mesh_and_never_to_peers_of_bad_standing() -> None:
    mesh = _mesh(40)
    bad = PEERS[-1]
    offered = mesh.offered(standing=lambda peer_id: -21.0 if peer_id == bad else 0.0, shuffle=_same)
    assert len(offered) == gossip_limits.LAZY
    assert not set(offered) & {*mesh.members, bad}
    assert _mesh(gossip_limits.DEGREE_LOW).offered(standing=_good, shuffle=_same) == []


def test_what_is_passed_on_goes_to_some_of_the_mesh_and_its_name_to_all_others_that_lack_it() -> None:
    mesh = _mesh(20)
    for peer_id in PEERS[4:12]:
        mesh.graft(peer_id, now=0, standing=0)
    via, author = mesh.members[0], mesh.members[5]
    at_once, later = mesh.next_hearers(but=(via, author), shuffle=lambda peers: list(reversed(peers)))
    assert len(at_once) == gossip_limits.EAGER
    assert at_once == list(reversed(mesh.members))[: gossip_limits.EAGER]
    assert sorted([*at_once, *later, via, author]) == sorted(mesh.members)
    small = _mesh(gossip_limits.EAGER + 1)
    assert small.next_hearers(but=(small.members[0],), shuffle=_same) == (small.members[1:], [])


def test_our_own_message_goes_to_others_while_the_mesh_is_small() -> None:
    mesh = TopicMesh()
    for peer_id in PEERS[:10]:
        mesh.join(peer_id, now=0, standing=-1)
    assert mesh.members == []
    assert len(mesh.first_hearers(standing=_good, shuffle=_same)) == gossip_limits.DEGREE
    assert mesh.first_hearers(standing=lambda _: -41.0, shuffle=_same) == []
    full = _mesh(10)
    assert full.first_hearers(standing=_good, shuffle=_same) == full.members


def test_held_messages_are_known_by_topic_and_bytes_taken_once_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gossip_limits, "HELD_MAX", 3)
    held = HeldMessages[int]()
    held.put("t", b"one", 1)
    held.put("t", b"one", 2)
    assert held.take("u", b"one") is None
    assert held.take("t", b"one") == 1
    assert held.take("t", b"one") is None
    for number in range(5):
        held.put("t", bytes([number]), number)
    assert len(held) == 3
    assert [held.take("t", bytes([number])) for number in range(5)] == [None, None, 2, 3, 4]
