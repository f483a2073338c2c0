"""When a node wants relays, and which ones."""

from __future__ import annotations

import random

import pytest

from crypto.keys import SEED_BYTES, SigningKey
from crypto.peer_id import peer_id_of
from p2pnode.protocols.reach import Reach
from p2pnode.protocols.relaying import RelayCandidate, Wish, choose_relays, wish_of
from wire.ids import PeerId


def peers(rng: random.Random, count: int) -> list[PeerId]:
    return sorted(PeerId(peer_id_of(SigningKey(rng.randbytes(SEED_BYTES)).public)) for _ in range(count))


def candidate(peer_id: PeerId, domain: str, met_at: float) -> RelayCandidate:
    return RelayCandidate(peer_id=peer_id, domain=domain, met_at=met_at)


@pytest.mark.parametrize(
    ("reach", "has_own_address", "wish"),
    [
        (Reach.YES, True, Wish.NONE),
        (Reach.NO, True, Wish.HAVE),
        (Reach.UNKNOWN, True, Wish.KEEP),
        (Reach.UNKNOWN, False, Wish.HAVE),
        (Reach.YES, False, Wish.HAVE),
    ],
)
def test_relays_are_wanted_only_while_nobody_can_dial_us(reach: Reach, has_own_address: bool, wish: Wish) -> None:  # noqa: FBT001
    assert wish_of(reach, has_own_address=has_own_address) is wish


def test_those_that_we_have_known_longest_are_asked_first_and_one_of_each_domain_before_any_second(
    rng: random.Random,
) -> None:
    a, b, c, d = peers(rng, 4)
    known = [candidate(a, "x", 4.0), candidate(b, "x", 1.0), candidate(c, "y", 3.0), candidate(d, "x", 2.0)]
    assert choose_relays((), known, refused=()) == [b, c, d, a]


def test_a_domain_that_is_held_already_comes_last(rng: random.Random) -> None:
    a, b, c = peers(rng, 3)
    known = [candidate(a, "x", 1.0), candidate(b, "x", 2.0), candidate(c, "y", 3.0)]
    assert choose_relays([a], known, refused=()) == [c, b]


def test_who_refused_is_not_asked_again_now(rng: random.Random) -> None:
    a, b = peers(rng, 2)
    assert choose_relays((), [candidate(a, "x", 1.0), candidate(b, "y", 2.0)], refused=[a]) == [b]
