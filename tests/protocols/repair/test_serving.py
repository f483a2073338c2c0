"""Whom a holder gives symbols to."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from p2pnode.coding import encode
from p2pnode.protocols.refusal import RefusalError
from p2pnode.protocols.repair.health import Presence
from p2pnode.protocols.repair.serving import check_request, check_size, lost_of
from tests.factories import TIME, blob_id, envelope, peer_id
from tests.protocols.repair.pages import BLOBS, PAGE, N, eyes, holder, look, retraction, with_records
from wire import limits
from wire.ids import ShardIndex
from wire.messages import RefusalCode
from wire.repair import RecoverSymbols, RepairIntent, WantedSymbol

SHARD = ShardIndex(2)
INTENT = RepairIntent(page=PAGE, blob_ids=tuple(BLOBS[:2]), shard=SHARD, time=TIME)
WANTED = WantedSymbol(blob=1, axis=0, index=N - 1)


def request(*wanted: WantedSymbol) -> RecoverSymbols:
    return RecoverSymbols(intent=envelope(), wanted=wanted, retractions=())


def test_a_request_that_fits_its_intent_and_our_page_is_taken() -> None:
    check_request(request(WANTED, replace(WANTED, axis=1)), INTENT, look())


@pytest.mark.parametrize(
    ("wanted", "intent"),
    [
        ((WANTED, WANTED), INTENT),
        ((replace(WANTED, blob=2),), INTENT),
        ((replace(WANTED, index=N),), INTENT),
        ((WANTED,), replace(INTENT, shard=N)),
        ((WANTED,), replace(INTENT, blob_ids=(BLOBS[0], blob_id(99)))),
    ],
)
def test_a_request_that_does_not_fit_is_refused(wanted: tuple[WantedSymbol, ...], intent: RepairIntent) -> None:
    with pytest.raises(RefusalError) as refusal:
        check_request(request(*wanted), intent, look())
    assert refusal.value.code is RefusalCode.INVALID


def test_more_than_one_answer_carries_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    metadata = encode(random.Random(1).randbytes(2000), N).metadata
    known = {BLOBS[1]: metadata}
    monkeypatch.setattr(limits, "RECOVERY_BYTES_MAX", 2 * metadata.symbol_bytes)
    two = [WANTED, replace(WANTED, axis=1)]
    check_size(request(*two, replace(WANTED, blob=0)), INTENT, known)
    with pytest.raises(RefusalError, match="at once"):
        check_size(request(*two, replace(WANTED, index=0)), INTENT, known)


def test_symbols_are_for_shards_that_are_missing_as_the_holder_sees_it() -> None:
    lost = lost_of(look(seen=eyes({3: Presence.LOST})), SHARD, BLOBS[0], asker=peer_id(1))
    assert lost.shard == SHARD
    for presence in (Presence.HERE, Presence.ABSENT):
        with pytest.raises(RefusalError, match="not missing") as refusal:
            lost_of(look(seen=eyes({3: presence})), SHARD, BLOBS[0], asker=peer_id(1))
        assert refusal.value.code is RefusalCode.BUSY


def test_one_that_is_only_away_may_be_replaced_when_the_blob_is_near_its_limit() -> None:
    seen = eyes({3: Presence.ABSENT, 4: Presence.ABSENT, 5: Presence.ABSENT})
    assert lost_of(look(seen=seen), SHARD, BLOBS[0], asker=peer_id(1)).missing == 3


def test_who_has_a_live_receipt_for_a_pair_gets_nothing_of_it() -> None:
    with pytest.raises(RefusalError, match="retracted first"):
        lost_of(look(), SHARD, BLOBS[0], asker=peer_id(3))
    ended = look(with_records(retractions=[retraction(3, 2)]))
    assert lost_of(ended, SHARD, BLOBS[0], asker=peer_id(3)).former == {peer_id(3)}
    signed_anew = look(with_records(holder(3, 2), retractions=[retraction(3, 2)]))
    with pytest.raises(RefusalError, match="retracted first"):
        lost_of(signed_anew, SHARD, BLOBS[0], asker=peer_id(3))
