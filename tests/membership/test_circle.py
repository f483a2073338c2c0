"""Claims about the circle: it is stable, full, and not for one failure domain to fill."""

from __future__ import annotations

import random

from p2pnode.membership.circle import CIRCLE_PER_DOMAIN_MAX, fill_circle
from tests.factories import peer_id
from wire.ids import PeerId


def present(*numbers: int, domain: str = "") -> list[tuple[PeerId, str]]:
    """Return these peers, each in a domain of its own unless one is given."""
    return [(peer_id(number), domain or str(number)) for number in numbers]


def test_in_a_small_network_everybody_is_in_it() -> None:
    assert fill_circle(set(), present(1, 2, 3), size=3) == {peer_id(1), peer_id(2), peer_id(3)}
    assert fill_circle({peer_id(9)}, [], size=3) == frozenset()


def test_it_stays_as_it_is_while_its_members_are_there(rng: random.Random) -> None:
    people = present(*range(1, 40))
    circle = fill_circle(set(), people, size=10)
    assert len(circle) == 10
    for _ in range(5):
        rng.shuffle(people)
        assert fill_circle(circle, people, size=10) == circle
    left = [row for row in people if row[0] != next(iter(circle))]
    after = fill_circle(circle, left, size=10)
    assert len(after) == 10
    assert len(after & circle) == 9
    assert len(fill_circle(circle, people, size=4)) == 4
    assert fill_circle(circle, people, size=4) < circle


def test_one_domain_fills_it_only_when_nobody_else_is_left() -> None:
    crowd = present(*range(100, 200), domain="one rack")
    circle = fill_circle(set(), [*crowd, *present(*range(1, 9))], size=10)
    assert len(circle & {peer_id(number) for number in range(1, 9)}) == 10 - CIRCLE_PER_DOMAIN_MAX
    assert len(fill_circle(set(), [*crowd, *present(1)], size=10)) == 10
