"""Claims about anchors: nobody buys a seat with numbers, and a seat is given away only when its peer is lost."""

from __future__ import annotations

import dataclasses
import random

from p2pnode.membership.anchors import ANCHORS_WANTED, Acquaintance, choose_anchors
from tests.factories import peer_id
from wire.ids import PeerId

DAY_S = 24 * 3600


def known(
    number: int, *, domain: str = "", met_at: float = 0.0, is_vetted: bool = True, is_lost: bool = False
) -> Acquaintance:
    """Return peer `number`, in a domain of its own unless one is given, met at that many seconds unless said."""
    return Acquaintance(
        peer_id=peer_id(number),
        domain=domain or f"domain {number}",
        met_at=met_at or float(number),
        is_vetted=is_vetted,
        is_lost=is_lost,
    )


def ids(*numbers: int) -> frozenset[PeerId]:
    """Return the ids of these peers."""
    return frozenset(peer_id(number) for number in numbers)


HONEST = range(1, ANCHORS_WANTED + 1)


def test_those_known_for_longest_are_chosen_and_no_more_than_wanted() -> None:
    peers = [known(number) for number in range(1, ANCHORS_WANTED + 5)]
    assert choose_anchors(frozenset(), reversed(peers)) == ids(*HONEST)
    assert choose_anchors(frozenset(), peers[:3]) == ids(1, 2, 3)
    assert choose_anchors(frozenset(), []) == frozenset()


def test_a_domain_has_one_seat_only() -> None:
    peers = [known(1, domain="a"), known(2, domain="a"), known(3, domain="b")]
    assert choose_anchors(frozenset(), peers) == ids(1, 3)
    assert choose_anchors(ids(2), peers) == ids(2, 3)  # Who sits, sits, though 1 is known for longer.
    assert choose_anchors(ids(1, 2), peers) == ids(1, 3)  # Two that turn out to be neighbours: the older stays.


def test_thousands_of_newcomers_never_displace_an_anchor(rng: random.Random) -> None:
    """However they come: all of one domain, each of its own, vetted by patience, or claiming to be known for ever."""
    honest = [known(number) for number in HONEST]
    anchors = choose_anchors(frozenset(), honest)
    crowd: list[Acquaintance] = []
    for number in range(100, 3_100):
        domain = "one rack" if number % 2 else f"rack {number}"
        is_vetted = rng.random() < 0.5
        crowd.append(known(number, domain=domain, met_at=rng.uniform(-DAY_S, DAY_S), is_vetted=is_vetted))
        if number % 300 == 0:
            everybody = [*honest, *crowd]
            rng.shuffle(everybody)
            anchors = choose_anchors(anchors, everybody)
            assert anchors == ids(*HONEST)
    # One is lost: exactly its seat is given to a newcomer.
    honest[3] = dataclasses.replace(honest[3], is_lost=True)
    after = choose_anchors(anchors, [*honest, *crowd])
    assert len(after) == ANCHORS_WANTED
    assert after & ids(*HONEST) == ids(*HONEST) - ids(4)


def test_in_a_young_network_newcomers_hold_the_seats_for_those_that_are_vetted_first() -> None:
    young = [known(number, is_vetted=False) for number in HONEST]
    anchors = choose_anchors(frozenset(), young)
    assert anchors == ids(*HONEST)
    # No other newcomer takes a seat from one, however early it says that it was here.
    assert choose_anchors(anchors, [*young, known(99, met_at=-5.0, is_vetted=False)]) == anchors
    assert choose_anchors(anchors, [*young, known(99, met_at=99.0)]) == ids(99, *HONEST[:-1])


def test_a_lost_anchor_keeps_its_seat_until_somebody_is_there_to_take_it() -> None:
    lost = [known(number, is_lost=True) for number in HONEST]
    assert choose_anchors(ids(*HONEST), lost) == ids(*HONEST)
    newcomer = known(50, is_vetted=False)
    assert choose_anchors(ids(*HONEST), [*lost, newcomer]) == ids(50, *HONEST[:-1])
    assert choose_anchors(frozenset(), lost) == frozenset()  # Who is lost is not chosen anew.
