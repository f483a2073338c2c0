"""Whom a node dials back, at what cost, and what it concludes from what others tell it."""

from __future__ import annotations

import pytest

from p2pnode.protocols.reach import (
    ASKERS_MAX,
    BUDGET_SECONDS,
    CONFIRMATIONS_MIN,
    DIALS_MAX,
    DIALS_PER_ASKER_MAX,
    OBSERVED_MAX,
    PEERS_ASKED_MAX,
    DialBackBudget,
    MappingState,
    Origin,
    PortMapping,
    Reach,
    Sighting,
    Tally,
    advice,
    confirmed_ips,
    count_outcomes,
    local_endpoint,
    may_dial_back,
    observed_candidates,
    one_a_domain,
    overall,
    worth_checking,
)
from wire import limits
from wire.messages import DialledBack, DialOutcome

SEEN = "8.8.4.4"
PUBLIC = f"/ip4/{SEEN}/tcp/4710"
LAN = "/ip4/192.168.0.7/tcp/4710"
RELAYED = "/ip4/9.9.9.9/tcp/4710/p2p/12D3KooWBmAwcd4PJNJvfV89HwE48nwkRmAgo8Vy3uQEyNNHBox2/p2p-circuit"
OFF = PortMapping(state=MappingState.OFF, detail="switched off")


def may(address: str, *record: str, seen: tuple[str, ...] = (SEEN,), allows_private: bool = False) -> bool:
    """Ask the rule."""
    return may_dial_back(address, seen_ips=frozenset(seen), record=record, allows_private=allows_private)


# Whom to dial.


def test_an_asker_is_dialled_at_the_address_that_it_comes_from() -> None:
    assert may(PUBLIC)
    assert may("/ip6/2001:4860::1/tcp/4710", seen=("2001:4860::1",))


@pytest.mark.parametrize(
    "address",
    [
        "/ip4/8.8.8.8/tcp/4710",
        "/ip6/2001:4860::1/tcp/4710",
        "/dns4/node.example/tcp/4710",
        "/ip4/127.0.0.1/tcp/4710",
        LAN,
        RELAYED,
        "garbage",
    ],
)
@pytest.mark.parametrize("allows_private", [False, True])
def test_nobody_else_is_ever_dialled_even_if_a_record_names_him(address: str, *, allows_private: bool) -> None:
    if address == LAN and allows_private:
        assert not may(address, allows_private=True), "not without the record"
        return
    assert not may(address, address, allows_private=allows_private)


@pytest.mark.parametrize("host", ["0.0.0.0", "224.0.0.1", "169.254.0.1"])  # noqa: S104 - it is what the claim is about
def test_what_is_no_place_is_not_dialled_even_if_the_asker_seems_to_be_there(host: str) -> None:
    assert not may(f"/ip4/{host}/tcp/4710", seen=(host,), allows_private=True)


def test_port_0_is_not_dialled() -> None:
    address = f"/ip4/{SEEN}/tcp/0"
    assert not may(address, address)


def test_ports_of_well_known_services_are_dialled_only_if_the_record_names_them() -> None:
    assert not may(f"/ip4/{SEEN}/tcp/1023")
    assert may(f"/ip4/{SEEN}/tcp/1024")
    assert may(f"/ip4/{SEEN}/tcp/443", "/ip4/10.0.0.7/tcp/443", "garbage")


def test_private_addresses_are_dialled_only_where_that_is_usual_and_as_the_record_has_them() -> None:
    assert may(LAN, LAN, allows_private=True)
    assert not may(LAN, LAN, allows_private=False)
    assert not may(LAN, "/ip4/192.168.0.7/tcp/4711", allows_private=True)
    assert not may("/ip4/127.0.0.1/tcp/4710", "/ip4/127.0.0.1/tcp/4710", allows_private=True)
    assert may("/ip4/127.0.0.1/tcp/4710", seen=("127.0.0.1",), allows_private=True)


# At what cost.


def test_an_asker_gets_its_budget_and_not_one_dial_more() -> None:
    budget = DialBackBudget()
    assert budget.take(b"a", DIALS_PER_ASKER_MAX - 1, now=100.0)
    assert not budget.take(b"a", 0, now=100.0)
    assert budget.take(b"b", 0, now=100.0), "another asker has its own"


def test_a_budget_is_earned_back_in_its_time_and_never_grows_beyond() -> None:
    budget = DialBackBudget()
    assert budget.take(b"a", DIALS_PER_ASKER_MAX - 1, now=100.0)
    one_dial_s = BUDGET_SECONDS / DIALS_PER_ASKER_MAX
    assert not budget.take(b"a", 0, now=100.0 + 0.9 * one_dial_s)
    assert budget.take(b"a", 0, now=100.0 + 1.1 * one_dial_s)
    assert not budget.take(b"a", DIALS_PER_ASKER_MAX, now=100.0 + 100 * BUDGET_SECONDS)
    assert budget.take(b"a", DIALS_PER_ASKER_MAX - 1, now=100.0 + 100 * BUDGET_SECONDS)


def test_all_askers_together_have_a_budget_too() -> None:
    budget = DialBackBudget()
    granted = sum(budget.take(b"asker %d" % number, 7, now=100.0) for number in range(20))
    assert granted == DIALS_MAX // 8


def test_a_refused_request_costs_nothing() -> None:
    budget = DialBackBudget()
    assert not budget.take(b"a", DIALS_PER_ASKER_MAX, now=100.0)
    assert budget.take(b"a", DIALS_PER_ASKER_MAX - 1, now=100.0)


def test_no_more_askers_are_remembered_than_the_limit() -> None:
    budget = DialBackBudget()
    for number in range(ASKERS_MAX + 10):
        budget.take(b"asker %d" % number, 0, now=float(number))
    assert len(budget) == ASKERS_MAX


# What to ask, and whom.


def test_only_what_others_could_dial_is_asked_about() -> None:
    own = [PUBLIC, LAN, "/dns4/node.example/tcp/1", RELAYED, PUBLIC]
    assert worth_checking(own, allows_private=False) == (PUBLIC,)
    assert worth_checking(own, allows_private=True) == (PUBLIC, LAN)
    many = [f"/ip4/8.8.8.{number}/tcp/1" for number in range(20)]
    assert len(worth_checking(many, allows_private=False)) == limits.DIAL_BACK_ADDRESSES_MAX


def test_one_peer_of_each_domain_is_asked_the_preferred_one() -> None:
    peers = [("x", b"1"), ("x", b"2"), ("y", b"3"), ("z", b"4")]
    assert one_a_domain(peers) == [("x", b"1"), ("y", b"3"), ("z", b"4")]
    assert one_a_domain(peers, count_max=2) == [("x", b"1"), ("y", b"3")]
    assert len(one_a_domain((str(number), b"") for number in range(9))) == PEERS_ASKED_MAX


# What to conclude.


def answer(*outcomes: DialOutcome) -> DialledBack:
    """Make an answer."""
    return DialledBack(outcomes=outcomes, seen_at="")


def tally(reached: int, tried: int) -> Tally:
    """Make a tally."""
    return Tally(address=PUBLIC, origin=Origin.LISTENED, reached=reached, tried=tried)


def test_each_address_counts_who_tried_and_who_got_through() -> None:
    answers = [
        answer(DialOutcome.REACHED, DialOutcome.REFUSED),
        answer(DialOutcome.REACHED, DialOutcome.SILENT),
        answer(DialOutcome.NOT_TRIED, DialOutcome.NOT_TRIED),
        answer(DialOutcome.REACHED),
        answer(DialOutcome.REACHED, DialOutcome.REACHED, DialOutcome.REACHED),
    ]
    routes = {PUBLIC: (PUBLIC,), LAN: (LAN,)}
    found = count_outcomes(routes, [PUBLIC, LAN], answers, {PUBLIC: Origin.MAPPED})
    assert found == [
        Tally(address=PUBLIC, origin=Origin.MAPPED, reached=2, tried=2),
        Tally(address=LAN, origin=Origin.LISTENED, reached=0, tried=2),
    ]


def test_a_peer_counts_once_for_a_name_whatever_it_leads_to() -> None:
    name = "/dns/node.example/tcp/4710"
    other = "/ip6/2001:4860::1/tcp/4710"
    answers = [answer(DialOutcome.NOT_TRIED, DialOutcome.REACHED), answer(DialOutcome.REFUSED, DialOutcome.REACHED)]
    (found,) = count_outcomes({name: (PUBLIC, other)}, [PUBLIC, other], answers, {})
    assert (found.reached, found.tried) == (2, 2)
    (nothing,) = count_outcomes({name: ()}, [], [answer()], {})
    assert nothing.reach is Reach.UNKNOWN


@pytest.mark.parametrize(
    ("reached", "tried", "verdict"),
    [
        (0, 0, Reach.UNKNOWN),
        (0, 1, Reach.NO),
        (1, 1, Reach.YES),
        (1, 2, Reach.YES),
        (1, 3, Reach.NO),
        (2, 3, Reach.YES),
        (2, 5, Reach.NO),
    ],
)
def test_at_least_half_of_those_who_tried_must_get_through(reached: int, tried: int, verdict: Reach) -> None:
    assert tally(reached, tried).reach is verdict


def test_one_address_that_works_is_enough() -> None:
    assert overall([]) is Reach.UNKNOWN
    assert overall([tally(0, 0)]) is Reach.UNKNOWN
    assert overall([tally(0, 0), tally(0, 3)]) is Reach.NO
    assert overall([tally(0, 3), tally(3, 3)]) is Reach.YES


def sightings(count: int, address: str) -> list[Sighting]:
    """Make sightings by so many domains."""
    return [Sighting(domain=f"domain {number}", address=address) for number in range(count)]


def test_an_address_is_confirmed_by_three_domains_not_by_three_peers_of_two() -> None:
    two = sightings(CONFIRMATIONS_MIN - 1, PUBLIC)
    assert confirmed_ips([*two, *sightings(len(two), PUBLIC)], allows_private=False) == ()
    assert confirmed_ips(sightings(CONFIRMATIONS_MIN, PUBLIC), allows_private=False) == (SEEN,)
    assert confirmed_ips(two[:1], allows_private=False, domains_min=1) == (SEEN,)


@pytest.mark.parametrize(
    "address", ["", "/dns4/node.example/tcp/1", "/ip4/0.0.0.0/tcp/1", "/ip4/224.0.0.1/tcp/1", "/ip4/127.0.0.1/tcp/1"]
)
def test_what_cannot_be_our_place_is_never_confirmed(address: str) -> None:
    assert confirmed_ips(sightings(5, address), allows_private=True) == ()


def test_private_and_link_local_addresses_are_confirmed_only_where_they_mean_something() -> None:
    assert confirmed_ips(sightings(5, LAN), allows_private=False) == ()
    assert confirmed_ips(sightings(5, LAN), allows_private=True) == ("192.168.0.7",)
    assert confirmed_ips(sightings(5, "/ip4/169.254.0.1/tcp/1"), allows_private=True) == ()


def test_what_most_see_comes_first_and_there_is_a_limit() -> None:
    seen = [each for number in range(9) for each in sightings(CONFIRMATIONS_MIN + number, f"/ip4/8.8.8.{number}/tcp/1")]
    found = confirmed_ips(seen, allows_private=False)
    assert found[0] == "8.8.8.8"
    assert len(found) == OBSERVED_MAX


def test_a_candidate_has_the_seen_address_and_our_port_of_its_family() -> None:
    own = [LAN, "/ip6/fd00::7/tcp/4711", "/dns4/node.example/tcp/9", RELAYED, LAN]
    found = observed_candidates([SEEN, "2001:4860::1"], own)
    assert found == (PUBLIC, "/ip6/2001:4860::1/tcp/4711")
    assert observed_candidates([SEEN], [PUBLIC]) == (), "it is ours already"
    ports = [f"/ip4/10.0.0.7/tcp/{port}" for port in range(1, 9)]
    assert len(observed_candidates([SEEN], ports)) == OBSERVED_MAX


# What to tell.


def told(
    reach: Reach,
    *listened: str,
    answered: int = 3,
    has_announced: bool = False,
    mapping: PortMapping = OFF,
) -> str:
    """Return the advice."""
    return advice(reach, answered=answered, has_announced=has_announced, mapping=mapping, listened=listened)


def test_who_is_reachable_needs_no_advice() -> None:
    assert told(Reach.YES, PUBLIC) == ""


def test_who_could_ask_nobody_is_told_so() -> None:
    assert "Nobody could be asked yet" in told(Reach.UNKNOWN, LAN, answered=0)
    assert "no address" in told(Reach.UNKNOWN)
    assert "could not try" in told(Reach.UNKNOWN, LAN)


def test_who_is_behind_a_router_is_told_what_to_forward_where() -> None:
    text = told(Reach.NO, "/ip4/127.0.0.1/tcp/4710", LAN)
    assert "Forward TCP port 4710 on your router to port 4710 of 192.168.0.7" in text
    assert "--announce" in text
    assert "/ip6/" in text
    assert "switched off" in text
    assert "UPnP or NAT-PMP there" not in text
    failed = PortMapping(state=MappingState.FAILED, detail="UPnP: no router answered")
    text = told(Reach.NO, LAN, mapping=failed)
    assert "switch on UPnP or NAT-PMP there" in text
    assert "no router answered" in text


def test_who_has_a_public_address_is_told_of_firewalls_and_not_of_routers() -> None:
    text = told(Reach.NO, PUBLIC, "/ip6/2001:4860::1/tcp/4710")
    assert "firewall" in text
    assert "router" not in text
    assert "With IPv6" not in text, "it listens there already"


def test_who_announced_a_wrong_address_is_told_to_check_it() -> None:
    assert "Check that it leads to this machine" in told(Reach.NO, PUBLIC, has_announced=True)


def test_who_has_a_mapped_port_that_does_not_work_is_told_of_what_stands_before_the_router() -> None:
    mapped = PortMapping(state=MappingState.MAPPED, detail="mapped", address=PUBLIC, local=LAN)
    text = told(Reach.NO, LAN, mapping=mapped)
    assert "second router" in text
    assert PUBLIC in text
    assert LAN in text


def test_a_port_is_forwarded_to_a_private_ipv4_address_of_this_machine_only() -> None:
    others = ["garbage", "/ip4/127.0.0.1/tcp/1", "/ip6/fd00::7/tcp/2", PUBLIC, "/dns4/node.example/tcp/3"]
    assert local_endpoint(others) is None
    found = local_endpoint([*others, LAN])
    assert found is not None
    assert found.text() == LAN
