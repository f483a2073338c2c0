"""Claims about heads of catalogues: the highest sequence wins everywhere, and only its owner can sign one."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from p2pnode.errors import PeerFaultError
from p2pnode.protocols.heads import check_head, is_newer, newest, open_answer
from p2pnode.protocols.refusal import RefusalError
from tests.factories import NETWORK, TIME, blob_id, key, owner_key, signed
from wire import limits
from wire.ids import PublicKey
from wire.ownership import CatalogueHead
from wire.signed import Signed

OWNER = PublicKey(owner_key().public)


def head(sequence: int = 1, *, end: int = TIME + 1000, number: int = 1) -> Signed[CatalogueHead]:
    record = CatalogueHead(sequence=sequence, time=TIME, end=end, kind=0, blob_id=blob_id(number))
    return signed(record, owner_key())


def test_a_good_head_passes_and_one_that_is_forged_over_or_endless_does_not() -> None:
    longest = TIME + limits.LEASE_SECONDS_MAX + limits.CLOCK_SKEW_SECONDS
    for end in (TIME + 1, longest):
        assert check_head(head(end=end).envelope, network=NETWORK, wall=TIME) == head(end=end)
    for end in (TIME, longest + 1):
        with pytest.raises(RefusalError, match="ends in"):
            check_head(head(end=end).envelope, network=NETWORK, wall=TIME)
    forged = replace(head().envelope, signer=PublicKey(key(3).public))
    with pytest.raises(RefusalError, match="not valid"):
        check_head(forged, network=NETWORK, wall=TIME)


def test_an_answer_counts_only_with_the_signature_of_the_owner_in_question() -> None:
    assert open_answer(None, owner=OWNER, network=NETWORK) is None
    assert open_answer(head().envelope, owner=OWNER, network=NETWORK) == head()
    with pytest.raises(PeerFaultError, match="cannot count"):
        open_answer(replace(head().envelope, body=b"junk"), owner=OWNER, network=NETWORK)
    with pytest.raises(PeerFaultError, match="another owner"):
        open_answer(head().envelope, owner=PublicKey(key(3).public), network=NETWORK)


def test_the_highest_sequence_wins_and_all_agree_on_one_of_two_equal_ones() -> None:
    heads = [head(3, number=1), head(3, number=2), head(2), None]
    winners = {newest(order) for order in itertools.permutations(heads)}
    assert len(winners) == 1
    best = winners.pop()
    assert best is not None
    assert best.record.sequence == 3
    assert newest([]) is None
    assert not is_newer(best, best)
    assert is_newer(head(4), best)
