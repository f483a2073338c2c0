"""The laboratories as fixtures: a claim about `Network` that asks for `run` is run in each of them."""

import pytest

from tests.contract.network_lab import LABORATORIES, VIRTUAL_LABORATORIES, Claim, Run


def _runner(name: str, seed: int) -> Run:
    def run(claim: Claim) -> None:
        LABORATORIES[name](claim, seed)

    return run


@pytest.fixture(params=LABORATORIES)
def run_network(request: pytest.FixtureRequest, seed: int) -> Run:
    """Run a claim in one of the three laboratories."""
    return _runner(str(request.param), seed)


@pytest.fixture(params=VIRTUAL_LABORATORIES)
def run_virtually(request: pytest.FixtureRequest, seed: int) -> Run:
    """Run a claim that cuts ways or switches machines off, in one of the laboratories that can."""
    return _runner(str(request.param), seed)
