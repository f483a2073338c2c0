"""Handing pairs over: what one that leaves has promised, who keeps it besides, and who may take it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from p2pnode.protocols.page_records import make_holder_record
from p2pnode.protocols.receipts import shard_set
from p2pnode.protocols.refusal import RefusalError
from p2pnode.protocols.repair.handing import as_if_lost, check_offer, check_rescued, heirs, promised_until, promises_of
from p2pnode.protocols.repair.health import Level, Presence
from p2pnode.protocols.repair.survey import RECEIPTS_PER_SHARD_COUNT, PageView
from tests import factories
from tests.factories import NETWORK, TIME, blob_id, key, peer_id
from tests.protocols.repair.pages import BLOBS, GROUP, LEASE, PAGE, N, eyes, holder, look, retraction, with_records
from wire.ids import PeerId, ShardIndex
from wire.messages import RefusalCode
from wire.repair import TakeOver

SHARD = ShardIndex(2)
LEAVING, OWN = peer_id(3), peer_id(20)
OFFER = TakeOver(page=PAGE, blob_ids=tuple(BLOBS[:2]), shard=SHARD)


def check(view: PageView, offer: TakeOver = OFFER, *, gone: frozenset[PeerId] = frozenset()) -> object:
    return check_offer(view, offer, leaving=LEAVING, own=OWN, stays=lambda each: each not in gone)


def test_what_one_has_promised_is_what_is_to_be_handed_over() -> None:
    assert promises_of(look(), LEAVING) == sorted((each, SHARD) for each in BLOBS)
    assert promises_of(look(with_records(retractions=[retraction(3, 2)])), LEAVING) == sorted(
        (each, SHARD) for each in BLOBS[1:]
    )
    assert promises_of(look(), OWN) == []
    assert promised_until(look(), (BLOBS[0], SHARD), LEAVING) == LEASE.record.end


def test_an_heir_has_promised_a_pair_for_as_long_as_the_one_that_leaves() -> None:
    pair = (BLOBS[0], SHARD)
    assert heirs(look(), pair, LEAVING) == []
    assert heirs(look(with_records(holder(20, 2))), pair, LEAVING) == [OWN]
    shorter = factories.signed(replace(LEASE.record, end=LEASE.record.end - 1), factories.owner_key())
    sets = (shard_set(SHARD, [0], blob_count=len(BLOBS)),)
    early = make_holder_record(key(20), shorter, GROUP, sets, network=NETWORK, sequence=9, time=TIME)
    assert heirs(look(with_records(early)), pair, LEAVING) == []


def test_what_is_handed_over_counts_as_lost_those_alike_together() -> None:
    (lost,) = as_if_lost(look(), [(each, SHARD) for each in BLOBS], LEAVING)
    assert (lost.shard, lost.missing, lost.former) == (SHARD, 1, frozenset())
    assert lost.blob_ids == tuple(sorted(BLOBS))
    assert lost.holders[2] is None
    assert lost.holders[0] == peer_id(1)
    apart = as_if_lost(
        look(with_records(holder(21, 0, blobs=(1,))), eyes({1: Presence.LOST})),
        [(each, SHARD) for each in BLOBS],
        LEAVING,
    )
    assert sorted(each.blob_ids for each in apart) == sorted([(BLOBS[1],), tuple(sorted((BLOBS[0], BLOBS[2])))])


def test_a_pair_of_one_that_leaves_is_taken_where_nobody_else_keeps_it() -> None:
    assert check(look()) == as_if_lost(look(), [(each, SHARD) for each in BLOBS[:2]], LEAVING)
    ours = look(with_records(holder(20, 2)))
    assert check(ours), "what we took already is only signed for again"
    others = look(with_records(holder(21, 2)))
    assert check(others, gone=frozenset({peer_id(21)})), "one that leaves too keeps nothing"
    with pytest.raises(RefusalError, match="another node keeps"):
        check(others)


@pytest.mark.parametrize(
    "offer",
    [
        replace(OFFER, shard=N),
        replace(OFFER, blob_ids=(BLOBS[0], blob_id(99))),
        replace(OFFER, blob_ids=(BLOBS[0], BLOBS[0])),
        replace(OFFER, shard=3),
    ],
)
def test_what_is_not_there_to_be_taken_is_refused(offer: TakeOver) -> None:
    with pytest.raises(RefusalError) as refusal:
        check(look(), offer)
    assert refusal.value.code is RefusalCode.INVALID


def test_a_blob_with_as_many_receipts_as_it_may_have_gets_no_more() -> None:
    more = [holder(30 + at, at) for at in range(N) if at != SHARD]
    more += [holder(50 + at, at) for at in range(N * (RECEIPTS_PER_SHARD_COUNT - 1) - len(more))]
    with pytest.raises(RefusalError, match="as many receipts"):
        check(look(with_records(*more)))


def test_what_one_has_read_whole_is_taken_only_where_symbols_are_not_to_be_had() -> None:
    few = dict.fromkeys(range(1, 7), Presence.SUSPECT)  # 4 of 10 are here: P is 4, and S is 7.
    view = look(seen=eyes(few))
    (lost, other) = check_rescued(view, OFFER)
    assert (lost.first, lost.level, lost.shard) == (ShardIndex(0), Level.URGENT, SHARD)
    assert other.blob_ids == (BLOBS[1],)
    enough = look(seen=eyes(dict.fromkeys(range(1, 4), Presence.ABSENT)))
    for seen, offer in (
        (look(), OFFER),
        (enough, OFFER),
        (view, replace(OFFER, shard=8)),
        (view, replace(OFFER, shard=N)),
        (view, replace(OFFER, blob_ids=(blob_id(99),))),
    ):
        with pytest.raises(RefusalError, match="not missing here"):
            check_rescued(seen, offer)
