"""What every test shares: one printed seed for a run, and the list of capabilities.

The seed comes from P2PNODE_TEST_SEED, or is drawn once. It feeds the `seed` and `rng` fixtures and
Hypothesis, so a failed run is repeated by setting the variable to the number that it printed.
"""

import hashlib
import os
import random
from collections import Counter

import hypothesis
import pytest

from tests.capabilities import SKIP_REASON, describe
from tests.capabilities import requires as requires  # noqa: PLC0414 - tests may take it from here.

SEED_VARIABLE = "P2PNODE_TEST_SEED"
_SEED_MAX = 2**32 - 1

RUN_SEED = int(os.environ.get(SEED_VARIABLE) or random.SystemRandom().randint(0, _SEED_MAX))

# A slow machine is no bug, and a failing example is kept as a test of its own (STYLE 40), not in a database.
hypothesis.settings.register_profile("p2pnode", deadline=None, database=None, print_blob=True)
hypothesis.settings.load_profile("p2pnode")


def pytest_report_header() -> list[str]:
    """Print what is needed to repeat this run."""
    return [f"seed: {SEED_VARIABLE}={RUN_SEED}", describe()]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give every Hypothesis test the seed of the run."""
    for item in items:
        if isinstance(item, pytest.Function) and hypothesis.is_hypothesis_test(item.function):
            hypothesis.seed(RUN_SEED)(item.function)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Repeat the seed after a failure, and count the tests that a missing capability left out."""
    if terminalreporter.stats.get("failed") or terminalreporter.stats.get("error"):
        terminalreporter.write_line(f"Repeat with {SEED_VARIABLE}={RUN_SEED}")
    reasons = [str(report.longrepr) for report in terminalreporter.stats.get("skipped", [])]
    missing = Counter(reason.partition(SKIP_REASON)[2].rstrip("')") for reason in reasons if SKIP_REASON in reason)
    counts = ", ".join(f"{count} for {capability}" for capability, count in sorted(missing.items()))
    terminalreporter.write_line(f"{describe()}; tests left out: {counts or 'none'}")


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """A number that differs from test to test and is fixed by the seed of the run."""
    return seed_of(request.node)


def seed_of(test: pytest.Item) -> int:
    """Return the seed of a test."""
    digest = hashlib.sha256(f"{RUN_SEED}:{test.nodeid}".encode()).digest()
    return int.from_bytes(digest[:8], "big")


@pytest.fixture
def rng(seed: int) -> random.Random:
    """A random source of the test's own, so that the order of tests does not matter."""
    return random.Random(seed)
