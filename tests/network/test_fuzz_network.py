"""Malformed things and connections that come and go: nothing crashes, and nothing is left behind.

The numbers here are for every day; `make bench-network`, and P2PNODE_LONG_TESTS=1 here, run the whole of them.
"""

from __future__ import annotations

import os
import random

import pytest

from benchmarks.network_cycles import cycles
from benchmarks.network_fuzz import fuzz
from testnet.fuzz.network_inputs import damaged, frames, handshake, message, name

IS_LONG = bool(os.environ.get("P2PNODE_LONG_TESTS"))
MALFORMED = 10_000 if IS_LONG else 1_500
CYCLES = 5_000 if IS_LONG else 500
MEMORY_MIB_MAX = 24.0


async def test_malformed_handshakes_frames_and_names_crash_nothing_and_leave_nothing(
    seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    outcome = await fuzz(MALFORMED, seed=seed)
    assert outcome["is_clean"], outcome
    sent = outcome["sent"]
    assert isinstance(sent, dict)
    assert sum(sent.values()) >= MALFORMED
    assert len(sent) == 4
    assert min(sent.values()) >= MALFORMED // 10  # Every kind has its share.
    unexpected = [each for each in caplog.records if each.levelname == "ERROR" and each.name.startswith("p2pnode")]
    assert [each.getMessage() for each in unexpected] == []  # What a peer says is no bug of ours.


async def test_connections_that_come_and_go_leave_slots_tasks_descriptors_and_memory(seed: int) -> None:
    outcome = await cycles(CYCLES, seed=seed)
    assert outcome.is_clean, outcome
    assert outcome.after.memory_mib < outcome.base.memory_mib + MEMORY_MIB_MAX, outcome


def test_a_seed_repeats_its_malformed_things() -> None:
    def first(seed: int) -> list[bytes]:
        rng = random.Random(seed)
        return [make(rng) for make in (handshake, frames, name, message) for _ in range(50)]

    assert first(7) == first(7)
    assert first(7) != first(8)


def test_damage_changes_most_of_what_it_is_given(rng: random.Random) -> None:
    whole = b"some whole message"
    assert sum(damaged(rng, whole) == whole for _ in range(300)) < 30
