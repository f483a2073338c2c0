"""`make test-deep` runs every step, whatever the others did, and says how each ended."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from testnet.deep import Step, run, steps

REPOSITORY = Path(__file__).parents[2]


def test_a_failed_step_fails_the_run_and_stops_no_other(capfd: pytest.CaptureFixture[str]) -> None:
    failing = Step("failing", ("-c", "raise SystemExit(3)"))
    working = Step("working", ("-c", "print('was run')"))
    assert not run([failing, working])
    output = capfd.readouterr().out
    assert "was run" in output
    assert "failing: FAILED (3)" in output
    assert "working: well" in output
    assert run([working])


def test_every_step_names_a_module_that_exists() -> None:
    for step in steps(7):
        module = step.arguments[step.arguments.index("-m") + 1]
        assert importlib.util.find_spec(module) is not None, step.name


def test_make_test_deep_runs_it() -> None:
    assert "-m testnet.deep" in (REPOSITORY / "Makefile").read_text("utf-8")
