"""Claims about failure domains as the member table knows them."""

from __future__ import annotations

import dataclasses
import random

import pytest

from crypto.peer_id import peer_id_to_text
from p2pnode.config import PUBLIC, TESTNET
from p2pnode.membership.contact import Contact
from p2pnode.membership.domains import domains_of
from p2pnode.membership.table import MemberTable
from tests.factories import TIME, key, member_record, peer_id, signed, signed_member
from wire import limits

OWN = peer_id(100)
NOW = 1000.0


def test_a_domain_is_that_of_the_address_that_worked_else_that_of_where_the_peer_came_from() -> None:
    members = MemberTable(OWN, TESTNET, started_at=NOW)
    members.consider(signed_member(1), now=NOW, wall=TIME)
    members.contact(peer_id(1), now=NOW, wall=TIME, source="/ip4/8.8.4.4")
    assert members.domains(wall=TIME)[peer_id(1)] == "8.8.4.0/24"
    members.contact(peer_id(1), now=NOW, wall=TIME, address="/ip4/9.9.9.9/tcp/1")
    assert members.domains(wall=TIME) == {
        OWN: f"peer:{peer_id_to_text(OWN)}",
        peer_id(1): "9.9.9.0/24",
    }


def test_domains_that_are_remembered_are_those_that_would_be_worked_out_now(
    rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever happens to members in whatever order, also that a tag begins to count because time has passed."""
    monkeypatch.setattr(limits, "MEMBERS_KEPT_MAX", 5)
    members, wall = MemberTable(OWN, PUBLIC, started_at=NOW, own_tag="ours"), float(TIME)
    for sequence in range(1, 400):
        number = rng.randrange(8)
        where = f"/ip4/8.8.{rng.randrange(3)}.{number}/tcp/1"
        match rng.randrange(5):
            case 0:
                record = dataclasses.replace(
                    member_record(sequence=sequence, time=int(wall)),
                    addresses=(where,),
                    domain_tag=rng.choice(["", "ours", "theirs"]),
                )
                members.consider(signed(record, key(number)), now=NOW + sequence, wall=wall)
            case 1:
                members.contact(peer_id(number), now=NOW + sequence, wall=wall, address=where)
            case 2:
                members.contact(peer_id(number), now=NOW + sequence, wall=wall, source=f"/ip4/9.9.{number}.1")
            case 3:
                passed = rng.choice([0, PUBLIC.vetting_audits])
                members.remember(
                    [
                        Contact(
                            peer_id=peer_id(number),
                            met_at=TIME,
                            seen_at=TIME,
                            is_anchor=False,
                            audits_passed=passed,
                            addresses=(where,),
                        )
                    ]
                )
            case _:
                wall += rng.choice([1.0, PUBLIC.vetting_s / 10])
        rows = [(OWN, "", "ours")]
        for peer, member in members.members():
            counts = members.is_vetted(peer, wall=wall)
            rows.append((peer, member.whereabouts, member.record.domain_tag if counts else ""))
        assert members.domains(wall=wall) == domains_of(rows), f"after step {sequence}"
