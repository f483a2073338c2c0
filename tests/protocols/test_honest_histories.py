"""Invariant 5 over histories: whatever happens to an honest holder, it signs nothing that convicts it.

`P2PNODE_HISTORIES=10000` plays as many as the release gate asks for, in some minutes.
"""

from __future__ import annotations

import os
import random

import pytest

from p2pnode.protocols import challenge
from tests.protocols.honest_holder import Holder

PART = 150
"""Histories in one test: a few seconds."""

PARTS = -(-int(os.environ.get("P2PNODE_HISTORIES", PART)) // PART)

STEPS = 25


def live_all(holders: list[Holder]) -> None:
    """Let each live its life."""
    for holder in holders:
        holder.live(STEPS)


@pytest.mark.parametrize("part", range(PARTS))
def test_no_honest_holder_is_ever_the_subject_of_valid_evidence(rng: random.Random, part: int) -> None:
    del part  # Each has a seed of its own.
    proven = absent = refused = 0
    for _ in range(PART):
        seed = rng.getrandbits(64)
        holder = Holder(random.Random(seed))
        try:
            holder.live(STEPS)
        except Exception as error:
            error.add_note(f"history {seed}")
            raise
        proven, absent, refused = proven + holder.proven, absent + holder.absent, refused + holder.refused
    assert proven > PART  # So many of each that none of it can be an accident.
    assert absent > PART
    assert refused > PART / 10


def test_the_histories_find_a_holder_that_does_not_check_its_own_answers(
    rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(challenge, "check_proof", lambda *_, **__: None)
    holders = [Holder(random.Random(rng.getrandbits(64))) for _ in range(PART)]
    with pytest.raises(AssertionError, match="has signed what convicts it"):
        live_all(holders)
