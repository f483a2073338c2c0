"""Whose turn it is, and who is told."""

from __future__ import annotations

from p2pnode.protocols.repair.ranks import LOSSES_TOLD, rank_of, ranks_honoured, whom_to_tell
from tests.factories import peer_id

ORDER = [peer_id(number) for number in range(20)]


def test_intents_count_from_within_two_k_and_four_ranks() -> None:
    assert ranks_honoured(1) == 6
    assert rank_of(ORDER, ORDER[0], missing=1) == 0
    assert rank_of(ORDER, ORDER[5], missing=1) == 5
    assert rank_of(ORDER, ORDER[6], missing=1) is None
    assert rank_of(ORDER, ORDER[6], missing=2) == 6
    assert rank_of(ORDER, peer_id(99), missing=5) is None


def test_holder_i_tells_after_i_steps_those_that_hold_nothing() -> None:
    holders = [ORDER[3], ORDER[3], ORDER[7], ORDER[0]]
    told = [ORDER[1], ORDER[2]]
    assert len(told) == LOSSES_TOLD
    assert whom_to_tell(ORDER, holders=holders, own=ORDER[3], waited_steps=0) == told
    assert whom_to_tell(ORDER, holders=holders, own=ORDER[7], waited_steps=0.9) == []
    assert whom_to_tell(ORDER, holders=holders, own=ORDER[7], waited_steps=1) == told
    assert whom_to_tell(ORDER, holders=holders, own=ORDER[0], waited_steps=1) == []
    assert whom_to_tell(ORDER, holders=holders, own=peer_id(99), waited_steps=100) == []
    assert whom_to_tell(holders, holders=holders, own=ORDER[3], waited_steps=100) == []
