"""Random use and random faults on real networks in memory, and how far such a run can be repeated.

A failing run is repeated with the printed seed: P2PNODE_TEST_SEED. The seeds of the runs count up from it.
"""

import os
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from tests.conftest import RUN_SEED
from tests.network.chaos import run_chaos

ROOT = Path(__file__).resolve().parent.parent.parent
DEADLINE_S = 120.0

RUNS = 4
"""Runs in each `make test`, of about two seconds each; every new seed of the tests makes other ones."""

EVERY_KIND = {
    "echo answered",
    "echo lost",
    "dial",
    "dial failed",
    "gossip",
    "cut",
    "cut_one_way",
    "heal",
    "connections reset",
    "stop",
    "lose_power",
    "start_in_place",
    "start_elsewhere",
    "disconnect",
}


@cache
def _run(number: int) -> tuple[str, Counter[str]]:
    return run_chaos(RUN_SEED + number)


@pytest.mark.parametrize("number", range(RUNS))
def test_random_faults_never_bring_wrong_bytes_nor_a_hang_nor_leave_anything_behind(number: int) -> None:
    _, counts = _run(number)
    assert counts["echo answered"] > 0
    assert counts["echo lost"] + counts["connections reset"] > 0, "no fault has hit anybody"


def test_every_kind_of_step_and_fault_happens() -> None:
    happened = Counter[str]()
    for number in range(RUNS):
        happened += _run(number)[1]
    assert happened.keys() >= EVERY_KIND


def test_a_run_is_the_same_in_another_process_and_another_seed_gives_another_one() -> None:
    """Who sends how much to whom, and when; the bytes are sealed with keys of the system's entropy and differ."""
    here, _ = _run(0)
    hash_seed = "1" if os.environ.get("PYTHONHASHSEED") == "0" else "0"
    done = subprocess.run(
        [sys.executable, "-m", "tests.network.chaos", str(RUN_SEED)],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
        timeout=DEADLINE_S,
    )
    assert done.stdout.strip() == here
    assert _run(1)[0] != here
