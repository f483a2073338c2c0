"""Claims about failure domains: what is one, what merges them, and that nothing splits them."""

from __future__ import annotations

import dataclasses

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
    candidates = make_candidates(signed_member(0), table.members())
    domains = {each.peer_id: each.domain for each in candidates}
    assert domains[peer_id(1)] == domains[peer_id(2)] != domains[peer_id(0)]
    assert {each.peer_id: each.wide for each in candidates}[peer_id(1)] == "8.1.0.0/16"


def test_the_tag_of_a_newcomer_waits_until_it_is_vetted() -> None:
    table = tagged_table(PUBLIC)
    candidates = make_candidates(
        signed_member(0), table.members(), is_vetted=lambda peer_id: table.is_vetted(peer_id, wall=TIME)
    )
    assert len({each.domain for each in candidates}) == 3
    assert [each.peer_id for each in candidates if each.is_vetted] == [peer_id(0)]
