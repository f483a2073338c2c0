"""Play scenarios in the simulator: whole nodes, every fault, virtual time.

One seed is shown in full, with the story of what failed; many seeds are spread over the cores, each played in two
processes whose trace hashes must agree.
"""

from __future__ import annotations

import traceback
from typing import Annotated

import typer

from p2pnode.errors import CallerError, ExitCode
from testnet.sim.judges import JudgementError
from testnet.sim.many import Job, Played, play_many
from testnet.sim.runner import Outcome, all_scenarios, play
from testnet.sim.scenarios import Scenario
from testnet.sim.shrink import shortest_failing_prefix
from testnet.sim.story import counts, tell
from testnet.terminal import one_line_errors

ALL = "all"
NODES_MIN, NODES_MAX = 4, 2_000
SEEDS_MAX = 1_000_000
_SEED_MAX = 2**63 - 1

REGRESSIONS = "tests/simulation/regressions.txt"

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
@one_line_errors
def sim(
    scenario: Annotated[str | None, typer.Option(help=f"A scenario's name, or `{ALL}`; --list has them.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=_SEED_MAX, help="The seed, or the first of several.")] = 0,
    seeds: Annotated[
        int | None, typer.Option(min=1, max=SEEDS_MAX, help="Play so many seeds, in two processes.")
    ] = None,
    nodes: Annotated[
        int | None, typer.Option(min=NODES_MIN, max=NODES_MAX, help="How many nodes. Default: the scenario's.")
    ] = None,
    injections: Annotated[int | None, typer.Option(min=0, help="Inject the first so many faults only.")] = None,
    *,
    list_names: Annotated[bool, typer.Option("--list", help="Print the names of the scenarios, one a line.")] = False,
) -> None:
    """Play a scenario with a seed and show what happened; or many, spread over the cores.

    Ends with 0 when every invariant held, else with 1: then it names the seed, the judge, the fewest injections that
    fail, and tells the story of the blob or node concerned.
    """
    if list_names:
        for name in all_scenarios():
            typer.echo(name)
        return
    if scenario is None and seeds is None:
        raise CallerError(
            "name a scenario with --scenario, or how many seeds of all with --seeds; --list has the names"
        )
    chosen = _chosen(scenario or ALL)
    if seeds is None and len(chosen) == 1:
        failed = _show_one(chosen[0].name, seed, nodes=nodes, injections=injections)
    else:
        numbers = range(seed, seed + (seeds or 1))
        jobs = [Job(each.name, number, nodes, injections) for number in numbers for each in chosen]
        failed = _show_many(jobs)
    if failed:
        raise typer.Exit(ExitCode.ERROR)


command = typer.main.get_command(app)


def _chosen(name: str) -> list[Scenario]:
    scenarios = all_scenarios()
    if name == ALL:
        return [each for each in scenarios.values() if not each.is_large]
    if name not in scenarios:
        raise CallerError(f"there is no scenario {name!r}: --list has the names")
    return [scenarios[name]]


def _show_one(name: str, seed: int, *, nodes: int | None, injections: int | None) -> bool:
    """Play once and print everything; return whether it failed."""
    outcome = play(name, seed, nodes=nodes, injections_max=injections)
    typer.echo(f"scenario: {outcome.scenario}, seed {outcome.seed}, {outcome.nodes} nodes")
    fired = {kind.value: count for kind, count in outcome.fired.items()}
    typer.echo(f"faults fired: {counts(fired)} ({outcome.injected} injections)")
    typer.echo(f"invariants checked: {counts(outcome.checked)}")
    for what, figure in outcome.figures.items():
        typer.echo(f"{what}: {figure:.4g}")
    typer.echo(f"virtual time: {outcome.virtual_seconds:.3f} s, {outcome.events} events")
    typer.echo(f"CPU: {outcome.cpu_seconds:.2f} s")
    typer.echo(f"trace: {outcome.trace_hash}")
    if outcome.error is not None:
        _explain(outcome)
    return outcome.error is not None


def _explain(outcome: Outcome) -> None:
    """Print who found what, the shortest failing prefix, and the story."""
    typer.echo(f"\nFAILED: {outcome.scenario}, seed {outcome.seed}")
    typer.echo(f"judge: {outcome.judge}")
    if isinstance(outcome.error, JudgementError):
        typer.echo(f"found: {outcome.error}")
        typer.echo(f"node: {outcome.error.node or '-'}, subject: {outcome.error.subject or '-'}")
    elif outcome.error is not None:
        typer.echo("".join(traceback.format_exception(outcome.error)).rstrip())
    shortest = shortest_failing_prefix(outcome)
    if shortest is None:
        typer.echo("shortest failing prefix: the whole run, no part of its injections fails like this")
    else:
        typer.echo(
            f"shortest failing prefix: the first {shortest.injected} of {outcome.injected} injections"
            f" (--injections {shortest.injected})"
        )
    typer.echo("story:")
    for line in tell(shortest or outcome):
        typer.echo(f"  {line}")
    typer.echo(f"to keep it as a regression case, add to {REGRESSIONS}:")
    typer.echo(f"  {outcome.scenario} {outcome.seed} {outcome.judge}: what it was")


def _show_many(jobs: list[Job]) -> bool:
    """Play all, print a line for each that failed and a summary; return whether any did."""
    done: list[Played] = []
    for played in play_many(jobs):
        done.append(played)
        if played.judge:
            typer.echo(f"FAILED: {played.command}: {played.judge}: {played.message}")
    failed = sum(bool(each.judge) for each in done)
    for name in sorted({each.job.scenario for each in done}):
        typer.echo(_summary(name, [each for each in done if each.job.scenario == name]))
    cpu = sorted(each.cpu_seconds for each in done)
    typer.echo(
        f"{len(done)} runs in two processes each, {failed} failed;"
        f" CPU a run: median {cpu[len(cpu) // 2]:.2f} s, most {cpu[-1]:.2f} s"
    )
    return failed > 0


def _summary(name: str, played: list[Played]) -> str:
    cpu = sorted(each.cpu_seconds for each in played)
    fired: dict[str, int] = {}
    for each in played:
        for kind, count in each.fired.items():
            fired[kind] = fired.get(kind, 0) + count
    checked = sum(sum(each.checked.values()) for each in played)
    failed = sum(bool(each.judge) for each in played)
    return (
        f"{name}: {len(played)} seeds, {failed} failed; fired: {counts(fired)}; checked: {checked};"
        f" CPU median {cpu[len(cpu) // 2]:.2f} s"
    )
