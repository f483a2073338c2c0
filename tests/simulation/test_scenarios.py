"""Every scenario holds, with every fault that it names; the seeds that failed once never fail again."""

from __future__ import annotations

from pathlib import Path

import pytest

from testnet.sim.runner import all_scenarios, play

SEEDS = 1
"""Seeds of each scenario here, others in each run of the tests: a minute in all. `make test-deep` plays many."""

REGRESSIONS = Path(__file__).with_name("regressions.txt")

ORDINARY = [name for name, each in all_scenarios().items() if not each.is_large]


def _regressions() -> list[tuple[str, int]]:
    """Return the scenario and the seed of each line; what follows says what went wrong."""
    lines = REGRESSIONS.read_text("utf-8").splitlines()
    rows = [line.split(maxsplit=2) for line in lines if line and not line.startswith("#")]
    return [(scenario, int(seed)) for scenario, seed, _why in rows]


def _play(name: str, seed: int) -> None:
    outcome = play(name, seed)
    assert not outcome.judge, (
        f"{outcome.judge}: {outcome.error}; `python -m testnet sim --scenario {name} --seed {seed}` tells its story"
    )
    assert all_scenarios()[name].faults <= set(outcome.fired)
    assert outcome.checked["progress"] == 1, "a scenario that never demands progress proves only that nothing happened"


def test_there_are_scenarios_enough() -> None:
    assert len(ORDINARY) >= 20


@pytest.mark.parametrize("name", ORDINARY)
def test_a_scenario_holds_and_each_of_its_faults_fires(name: str, seed: int) -> None:
    for number in range(SEEDS):
        _play(name, (seed + number) % 2**32)


@pytest.mark.parametrize(("name", "failing_seed"), _regressions())
def test_a_seed_that_once_failed_holds_now(name: str, failing_seed: int) -> None:
    _play(name, failing_seed)
