"""`python -m testnet.sim.mutants`: hunt the planted bugs, and say which scenario, seed and judge found each."""

from __future__ import annotations

from typing import Annotated

import typer

from testnet.sim.mutants.catalogue import all_mutants
from testnet.sim.mutants.hunt import hunt, record

SEEDS = 200

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Only these. Default: all.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Seeds to try each scenario with, from 0 on.")] = SEEDS,
    *,
    keeps: Annotated[bool, typer.Option("--record", help="Note what was found, for `make test` to repeat.")] = False,
    lists: Annotated[bool, typer.Option("--list", help="Only list the planted bugs, and what each breaks.")] = False,
) -> None:
    """Hunt planted bugs; ends with 1 when one was not found."""
    known = all_mutants()
    unknown = sorted(set(names or ()) - set(known))
    if unknown:
        raise typer.BadParameter(f"no planted bug is called {', '.join(unknown)}; --list names them")
    chosen = [known[name] for name in names or known]
    if lists:
        for mutant in chosen:
            print(f"{mutant.name}: {mutant.breaks}")
        return
    found = 0
    for mutant, finding in hunt(chosen, seeds=seeds):
        if finding is None:
            print(f"{mutant.name}: NOT FOUND within {seeds} seeds of {', '.join(mutant.scenarios)}", flush=True)
            continue
        found += 1
        if keeps:
            record({mutant.name: finding})
        print(f"{mutant.name}: {finding.scenario}, seed {finding.seed}, found by {finding.judge}", flush=True)
    print(f"{found} of {len(chosen)} planted bugs were found.")
    if found < len(chosen):
        raise typer.Exit(1)


if __name__ == "__main__":
    app()
