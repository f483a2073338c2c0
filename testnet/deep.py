"""`make test-deep`: every scenario, planted bug, crash image and fuzz target at full volume, and a summary.

A step that fails does not end the run: the others may have found something else.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

from p2pnode.errors import ExitCode
from testnet.terminal import one_line_errors

SCENARIO_SEEDS = 25
CRASH_IMAGES = 100_000
STORE_HISTORIES = 1_000
FUZZ_INPUTS = 50_000

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@dataclass(frozen=True, slots=True)
class Step:
    """One command, which ends with 0 when all is well."""

    name: str
    arguments: tuple[str, ...]


def steps(seed: int) -> list[Step]:
    """Return what is run, in this order."""
    number = str(seed)
    return [
        Step("scenarios", ("-m", "testnet", "sim", "--seeds", str(SCENARIO_SEEDS), "--seed", number)),
        Step("planted bugs", ("-m", "testnet.sim.mutants")),
        Step("crash images", ("-m", "testnet.sim.disk_harness", "--images", str(CRASH_IMAGES), "--seed", number)),
        Step(
            "histories of a store",
            ("-m", "testnet.sim.storage_histories", "--histories", str(STORE_HISTORIES), "--seed", number),
        ),
        Step("fuzzing", ("-m", "testnet.fuzz", "--inputs", str(FUZZ_INPUTS), "--seed", number)),
    ]


@app.command()
@one_line_errors
def deep(
    seed: Annotated[int, typer.Option(min=0, help="Of scenarios, crash images and fuzzing.")] = 0,
) -> None:
    """Run everything at full volume, one step after the other; end with 1 when one of them failed."""
    if not run(steps(seed)):
        raise typer.Exit(ExitCode.ERROR)


def run(chosen: Sequence[Step]) -> bool:
    """Run these steps, print how each ended, and return whether all went well."""
    rows: list[tuple[Step, int, float]] = []
    for step in chosen:
        typer.echo(f"== {step.name}: python {' '.join(step.arguments)}")
        started = time.monotonic()
        code = subprocess.run([sys.executable, *step.arguments], check=False).returncode
        rows.append((step, code, time.monotonic() - started))
    typer.echo("== summary")
    for step, code, seconds in rows:
        typer.echo(f"{step.name}: {'well' if code == 0 else f'FAILED ({code})'}, {seconds / 60:.1f} minutes")
    typer.echo(f"{sum(seconds for *_, seconds in rows) / 60:.1f} minutes in all")
    return all(code == 0 for _, code, _ in rows)


if __name__ == "__main__":
    app(prog_name="python -m testnet.deep")
