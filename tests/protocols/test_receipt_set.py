"""Claims about the set of receipts: it merges in any order, is bounded, and nobody ends the promise of another."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pnode.protocols import receipt_set
from p2pnode.protocols.certificates import SIGNERS_PER_SHARD_MAX
from p2pnode.protocols.receipt_set import SIGNERS_KEPT_MAX, Pair, Promise, ReceiptSet, Register, View
from tests import factories
from wire.ids import PeerId, ShardIndex

PAIRS: list[Pair] = [(factories.blob_id(1), ShardIndex(shard)) for shard in range(2)]
PEERS = [factories.peer_id(number) for number in range(24)]
STRANGERS = [factories.peer_id(100 + number) for number in range(3)]
VIEW = View(
    audited={pair: frozenset(PEERS[20:22]) for pair in PAIRS},
    named={PAIRS[0]: frozenset(PEERS[:3])},
    ranks={peer_id: rank for rank, peer_id in enumerate(PEERS[3:20])},
)

Event = Callable[[ReceiptSet], None]


def receipt(pair: Pair, signer: PeerId, sequence: int, *, lease: int = 1, end: int = 100) -> Event:
    """Return the arrival of a receipt."""
    promise = Promise(sequence, factories.digest(1_000 * lease + sequence), factories.digest(lease), end)
    return lambda receipts: receipts.promise(pair, signer, promise)


def end_of(pair: Pair, signer: PeerId, sequence: int) -> Event:
    """Return the arrival of a retraction."""
    return lambda receipts: receipts.retract(pair, signer, sequence, factories.digest(sequence))


def set_of(events: Sequence[Event], view: View = VIEW) -> ReceiptSet:
    """Return the set after some arrivals."""
    receipts = ReceiptSet(view)
    for event in events:
        event(receipts)
    return receipts


def union(*sets: ReceiptSet) -> ReceiptSet:
    """Merge sets in this order."""
    merged = ReceiptSet(VIEW)
    for each in sets:
        merged.merge(each)
    return merged


pairs, numbers = st.sampled_from(PAIRS), st.integers(0, 6)
events = st.lists(
    st.one_of(
        st.builds(lambda *a: receipt(*a[:3], lease=a[3]), pairs, st.sampled_from(PEERS), numbers, st.integers(1, 3)),
        st.builds(end_of, pairs, st.sampled_from(PEERS), numbers),
    ),
    max_size=60,
)
strange_events = st.lists(
    st.one_of(
        st.builds(receipt, pairs, st.sampled_from(STRANGERS), numbers),
        st.builds(end_of, pairs, st.sampled_from(STRANGERS), numbers),
    ),
    max_size=10,
)


@given(events, events, events)
def test_merging_is_commutative_associative_and_idempotent(
    one: list[Event], two: list[Event], three: list[Event]
) -> None:
    a, b, c = set_of(one), set_of(two), set_of(three)
    assert union(a, b) == union(b, a)
    assert union(union(a, b), c) == union(a, union(b, c))
    assert union(a, a) == a
    assert union(a, b, c) == set_of([*three, *one, *two])


@given(events)
def test_a_set_is_bounded(one: list[Event]) -> None:
    receipts = set_of(one)
    for pair in receipts.pairs():
        kept = [peer for peer in PEERS if receipts.register(pair, peer) != Register()]
        assert len(kept) <= SIGNERS_KEPT_MAX
        assert len(receipts.holders(pair, now=0)) <= SIGNERS_PER_SHARD_MAX


@given(events, strange_events)
def test_strangers_change_nothing(one: list[Event], strange: list[Event]) -> None:
    receipts, without = set_of([*one, *strange]), set_of(one)
    assert receipts == without
    assert receipts.refused - without.refused == len(strange)


@given(events, st.sampled_from(PEERS[:3]), numbers)
def test_nobody_ends_the_promise_of_another(one: list[Event], signer: PeerId, number: int) -> None:
    mine = [receipt(PAIRS[0], signer, 7)]
    foreign = [end_of(PAIRS[0], peer, number + 10) for peer in PEERS if peer != signer]
    receipts = set_of([*one, *mine, *foreign])
    assert signer in receipts.holders(PAIRS[0], now=0)
    assert signer in receipts.healthy(PAIRS[0], now=0)


@pytest.mark.parametrize("is_reversed", [False, True])
def test_a_retraction_ends_earlier_receipts_and_no_later_ones(*, is_reversed: bool) -> None:
    pair, signer = PAIRS[0], PEERS[0]
    story = [receipt(pair, signer, 1), receipt(pair, signer, 3, lease=2), end_of(pair, signer, 4)]
    gone = set_of(story[::-1] if is_reversed else story)
    assert gone.holders(pair, now=0) == ()
    assert gone.committee() == frozenset()
    story.append(receipt(pair, signer, 5))
    back = set_of(story[::-1] if is_reversed else story)
    assert back.holders(pair, now=0) == (signer,)
    assert back.committee() == {signer}
    assert back.signers() == {signer}
    assert len(back.records()) == 3


def test_a_receipt_ends_with_its_lease() -> None:
    pair, signer = PAIRS[0], PEERS[0]
    receipts = set_of([receipt(pair, signer, 2, lease=1, end=100), receipt(pair, signer, 3, lease=2, end=50)])
    assert receipts.holders(pair, now=100) == (signer,)
    assert receipts.holders(pair, now=101) == ()


def test_those_audited_come_first_then_those_of_the_certificate_then_the_best_ranks() -> None:
    pair = PAIRS[0]
    signers = [PEERS[19], PEERS[3], PEERS[1], PEERS[20]]
    receipts = set_of([receipt(pair, signer, 1) for signer in signers])
    assert receipts.holders(pair, now=0) == (PEERS[20], PEERS[1], PEERS[3], PEERS[19])
    assert receipts.healthy(pair, now=0) == (PEERS[20], PEERS[1])
    crowd = set_of([receipt(pair, signer, 1) for signer in PEERS])
    assert set(crowd.holders(pair, now=0)) <= set(PEERS[:3]) | set(PEERS[20:22])
    assert len(crowd.holders(pair, now=0)) == SIGNERS_PER_SHARD_MAX


def test_only_the_newest_promises_of_one_signer_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receipt_set, "PROMISES_PER_SIGNER_MAX", 2)
    pair, signer = PAIRS[0], PEERS[0]
    receipts = set_of([receipt(pair, signer, number, lease=number) for number in (2, 3, 1)])
    assert [each.sequence for each in receipts.register(pair, signer).promises] == [3, 2]


def test_a_set_equals_no_other_thing() -> None:
    assert set_of([]) != 0


def test_the_signers_of_a_pair_are_told_in_order() -> None:
    receipts = set_of([receipt(PAIRS[0], PEERS[2], 1), end_of(PAIRS[0], PEERS[1], 2), receipt(PAIRS[1], PEERS[20], 1)])
    assert receipts.signers_of(PAIRS[0]) == tuple(sorted([PEERS[1], PEERS[2]]))
    assert receipts.signers_of((factories.blob_id(9), ShardIndex(0))) == ()
