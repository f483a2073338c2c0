"""Every scenario holds, with every fault that it names; the seeds that failed once never fail again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from testnet.sim.many import Job, Played, play_job
from testnet.sim.runner import all_scenarios
from testnet.spread import spread
from tests.conftest import seed_of

REGRESSIONS = Path(__file__).with_name("regressions.txt")

ORDINARY = [name for name, each in all_scenarios().items() if not each.is_large]


def _regressions() -> list[tuple[str, int]]:
    """Return the scenario and the seed of each line; what follows says what went wrong."""
    lines = REGRESSIONS.read_text("utf-8").splitlines()
    rows = [line.split(maxsplit=2) for line in lines if line and not line.startswith("#")]
    return [(scenario, int(seed)) for scenario, seed, _why in rows]


def _job(test: pytest.Item) -> Job | None:
    """Return what a test of this file plays."""
    parameters: dict[str, Any] = getattr(getattr(test, "callspec", None), "params", {})
    if test.path != Path(__file__) or "name" not in parameters:
        return None
    return Job(parameters["name"], parameters.get("failing_seed", seed_of(test) % 2**32))


@pytest.fixture(scope="module")
def played(request: pytest.FixtureRequest) -> dict[Job, Played]:
    """What the chosen tests play, spread over the cores: of each scenario one seed, which differs from run to run."""
    jobs = [job for job in map(_job, request.session.items) if job is not None]
    return dict(zip(jobs, spread(play_job, jobs), strict=True))


def _check(run: Played) -> None:
    assert not run.judge, f"{run.judge}: {run.message}; `python -m testnet sim {run.command}` tells its story"
    assert {kind.value for kind in all_scenarios()[run.job.scenario].faults} <= set(run.fired)
    assert run.checked["progress"] == 1, "a scenario that never demands progress proves only that nothing happened"


def test_there_are_scenarios_enough() -> None:
    assert len(ORDINARY) >= 20


@pytest.mark.timeout(900)  # The first of them waits for all.
@pytest.mark.parametrize("name", ORDINARY)
def test_a_scenario_holds_and_each_of_its_faults_fires(name: str, seed: int, played: dict[Job, Played]) -> None:
    _check(played[Job(name, seed % 2**32)])


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("name", "failing_seed"), _regressions())
def test_a_seed_that_once_failed_holds_now(name: str, failing_seed: int, played: dict[Job, Played]) -> None:
    _check(played[Job(name, failing_seed)])
