"""Testnets of fake nodes: the same launcher, with a program that starts in a tenth of a second."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from testnet import pids
from testnet.homes import Plan
from testnet.processes import Testnet

FAKE_NODE = (sys.executable, str(Path(__file__).with_name("fake_node.py")))

MakeTestnet = Callable[..., Testnet]


def fake_home(home: Path, plan: Plan) -> None:
    """Make a home that only says what it was made for."""
    home.mkdir()
    (home / "plan").write_text(hashlib.sha256(f"{plan.seed} {plan.name}".encode()).hexdigest(), "utf-8")


def home_with_habit(habit: str, name: str) -> Callable[[Path, Plan], None]:
    """Return a maker of homes that gives one node a bad habit."""

    def make(home: Path, plan: Plan) -> None:
        fake_home(home, plan)
        if plan.name == name:
            (home / "habit").write_text(habit, "utf-8")

    return make


@pytest.fixture
def make_testnet(tmp_path: Path) -> Iterator[MakeTestnet]:
    """Make testnets of fake nodes; after the test none of their processes may run."""
    made: list[Testnet] = []

    def make(directory: Path = tmp_path / "net", **options: object) -> Testnet:
        made.append(Testnet(directory, **{"program": FAKE_NODE, "make_home": fake_home, **options}))  # type: ignore[arg-type]
        return made[-1]

    yield make
    marks = [node.process for testnet in made for node in testnet.nodes if node.process]
    for testnet in made:
        testnet.stop(grace_s=0)
    assert [mark for mark in marks if pids.is_running(mark)] == []
