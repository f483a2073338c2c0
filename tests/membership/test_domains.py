"""Claims about failure domains: what is one, what merges them, and that nothing splits them."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.peer_id import peer_id_to_text
from p2pnode.config import PRIVATE, PUBLIC, Profile
from p2pnode.membership.domains import domain_of, merged, wide_of
from p2pnode.membership.table import MemberTable
from p2pnode.protocols.members import make_candidates
from tests.factories import TIME, key, member_record, peer_id, signed, signed_member

RELAY = peer_id_to_text(peer_id(7))


@pytest.mark.parametrize(
    ("address", "domain", "wide"),
    [
        ("/ip4/8.8.4.4/tcp/1", "8.8.4.0/24", "8.8.0.0/16"),
        ("/ip6/2a00:1450:4001::1/tcp/1", "2a00:1450:4001::/48", "2a00:1450::/32"),
        (f"/ip4/8.8.4.4/tcp/1/p2p/{RELAY}/p2p-circuit", "8.8.4.0/24", "8.8.0.0/16"),
        (f"/ip4/10.0.0.1/tcp/1/p2p/{RELAY}/p2p-circuit", f"peer:{RELAY}", ""),
        ("/ip4/10.0.0.1/tcp/1/p2p/nobody/p2p-circuit", "peer:me", ""),
        ("/ip4/127.0.0.1/tcp/1", "peer:me", ""),
        ("/ip4/192.168.1.1/tcp/1", "peer:me", ""),
        ("/ip4/169.254.1.1/tcp/1", "peer:me", ""),
        ("/ip4/100.64.0.1/tcp/1", "peer:me", ""),
        ("/ip4/100.127.255.255/tcp/1", "peer:me", ""),
        ("/ip6/fc00::1/tcp/1", "peer:me", ""),
        ("/ip6/fd12:3456::1/tcp/1", "peer:me", ""),
        ("/ip6/fe80::1/tcp/1", "peer:me", ""),
        ("/ip6/::1/tcp/1", "peer:me", ""),
        ("/ip4/8.8.4.400/tcp/1", "peer:me", ""),
        ("/dns4/node.example/tcp/1", "peer:me", ""),
        ("", "peer:me", ""),
    ],
)
def test_a_domain_is_a_prefix_of_a_public_address_else_the_relay_or_the_peer(
    address: str, domain: str, wide: str
) -> None:
    assert domain_of("me", address) == domain
    assert wide_of(address) == wide


def test_a_tag_makes_one_domain_of_several() -> None:
    assert merged(["b", "a", "c", "a"], ["x", "x", "", ""]) == ["a", "a", "c", "a"]


def test_tags_merge_through_a_common_network() -> None:
    assert merged(["a", "b", "b", "c"], ["x", "x", "y", "y"]) == ["a", "a", "a", "a"]


def test_tags_never_split_a_network() -> None:
    assert merged(["a", "a", "a"], ["x", "y", ""]) == ["a", "a", "a"]


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from(["", "x", "y", "z"])), max_size=12))
def test_any_tags_only_ever_merge(rows: list[tuple[str, str]]) -> None:
    after = merged([domain for domain, _ in rows], [tag for _, tag in rows])
    for (domain, tag), name in zip(rows, after, strict=True):
        for (other_domain, other_tag), other_name in zip(rows, after, strict=True):
            if domain == other_domain or (tag and tag == other_tag):
                assert name == other_name
    if all(not tag for _, tag in rows):
        assert after == [domain for domain, _ in rows]


def tagged_table(profile: Profile) -> MemberTable:
    """Return two members in different networks with one operator's tag."""
    table = MemberTable(peer_id(0), profile, started_at=0)
    for number in (1, 2):
        record = dataclasses.replace(
            member_record(number), addresses=(f"/ip4/8.{number}.4.4/tcp/1",), domain_tag="attic"
        )
        table.consider(signed(record, key(number)), now=0, wall=TIME)
    return table


def test_an_operators_tag_makes_its_members_one_failure_domain() -> None:
    table = tagged_table(PRIVATE)
    candidates = make_candidates(signed_member(0), table.members(), domains=table.domains(wall=TIME))
    domains = {each.peer_id: each.domain for each in candidates}
    assert domains[peer_id(1)] == domains[peer_id(2)] != domains[peer_id(0)]
    assert {each.peer_id: each.wide for each in candidates}[peer_id(1)] == "8.1.0.0/16"


def test_the_tag_of_a_newcomer_waits_until_it_is_vetted() -> None:
    table = tagged_table(PUBLIC)
    assert len(set(table.domains(wall=TIME).values())) == 3
    for number in (1, 2):
        table.contact(peer_id(number), now=0, wall=TIME, source=f"/ip4/8.{number}.4.4")
        for _ in range(PUBLIC.vetting_audits):
            table.audit_passed(peer_id(number))
    vetted_at = TIME + PUBLIC.vetting_s
    assert len(set(table.domains(wall=vetted_at - 1).values())) == 3
    assert len(set(table.domains(wall=vetted_at).values())) == 2


def test_the_tag_of_our_own_operator_merges_our_domain_too() -> None:
    table = MemberTable(peer_id(0), PRIVATE, started_at=0, own_tag="attic")
    record = dataclasses.replace(member_record(1), domain_tag="attic")
    table.consider(signed(record, key(1)), now=0, wall=TIME)
    assert len(set(table.domains(wall=TIME).values())) == 1


PLACES = st.sampled_from(["", "/ip4/8.1.1.1", "/ip4/8.1.1.2", "/ip4/8.2.1.1", "/ip4/10.0.0.1"])
PEERS = st.lists(st.tuples(PLACES, st.sampled_from(["", "attic", "cellar"]), st.booleans()), max_size=8)


def table_of(rows: list[tuple[str, str, bool]], own_tag: str) -> MemberTable:
    """Return members, each at a place, with a tag, and vetted or not, all met a vetting time before LATER."""
    table = MemberTable(peer_id(0), PUBLIC, started_at=0, own_tag=own_tag)
    for number, (place, tag, is_vetted) in enumerate(rows, start=1):
        record = dataclasses.replace(member_record(number), addresses=(), domain_tag=tag)
        table.consider(signed(record, key(number)), now=0, wall=TIME)
        table.contact(peer_id(number), now=0, wall=TIME, source=place)
        for _ in range(PUBLIC.vetting_audits * is_vetted):
            table.audit_passed(peer_id(number))
    return table


LATER = TIME + PUBLIC.vetting_s


@given(PEERS, st.sampled_from(["", "attic"]))
def test_a_tag_merges_domains_of_a_table_and_never_splits_one(rows: list[tuple[str, str, bool]], own_tag: str) -> None:
    with_tags = table_of(rows, own_tag).domains(wall=LATER)
    without = table_of([(place, "", is_vetted) for place, _, is_vetted in rows], "").domains(wall=LATER)
    assert with_tags.keys() == without.keys()
    for one, other in itertools.combinations(without, 2):
        if without[one] == without[other]:
            assert with_tags[one] == with_tags[other]


@given(PEERS, st.sampled_from(["", "attic"]))
def test_placement_and_anchors_mean_the_same_by_a_domain(rows: list[tuple[str, str, bool]], own_tag: str) -> None:
    table = table_of(rows, own_tag)
    domains = table.domains(wall=LATER)
    candidates = make_candidates(signed_member(0), table.members(), domains=domains)
    assert {each.peer_id: each.domain for each in candidates} == domains
    assert all(domains[each.peer_id] == each.domain for each in table.acquaintances(now=0, wall=LATER))


def test_peers_with_one_operators_tag_are_one_voice_about_our_own_link() -> None:
    """Nine networks that fall silent freeze a node; nine of one vetted operator do not."""
    for tags, is_frozen in ((["" for _ in range(9)], True), (["attic" for _ in range(9)], False)):
        table = table_of([(f"/ip4/8.{number}.1.1", tag, True) for number, tag in enumerate(tags)], "")
        now = PUBLIC.suspect_after_s
        table.look_for_own_silence(now=now, wall=LATER)
        assert table.freeze.is_frozen(now) is is_frozen
