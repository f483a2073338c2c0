"""Playing a scenario with a seed, and what is known of it afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules

from testnet.sim import scenarios
from testnet.sim.faults import FaultKind
from testnet.sim.judges import JudgementError
from testnet.sim.run import Run
from testnet.sim.scenarios import SCENARIOS, Scenario
from testnet.sim.world import Chores, World, run_world

FIRED = "faults-fired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one run went."""

    scenario: str
    seed: int
    nodes: int
    trace_hash: str
    events: int
    virtual_seconds: float
    cpu_seconds: float
    injected: int
    fired: dict[FaultKind, int]
    checked: dict[str, int]
    figures: dict[str, float]
    error: BaseException | None = None

    @property
    def judge(self) -> str:
        """Return who found the fault: a judge's name, or the type of another error; empty when all is well."""
        if self.error is None:
            return ""
        return self.error.judge if isinstance(self.error, JudgementError) else type(self.error).__name__


def all_scenarios() -> dict[str, Scenario]:
    """Return every scenario by its name."""
    for module in iter_modules(scenarios.__path__):
        import_module(f"{scenarios.__name__}.{module.name}")
    return dict(sorted(SCENARIOS.items()))


def play(
    name: str,
    seed: int,
    *,
    nodes: int | None = None,
    injections_max: int | None = None,
    is_judged: bool = True,
    watch: Callable[[Run], None] | None = None,
) -> Outcome:
    """Play a scenario; a failure is in the outcome. Raises `KeyError` for a name that there is not.

    Of its injections only the first `injections_max` are done. Unless it `is_judged`, the judges of every run rest, and
    all goes as it would with them. `watch` is called before anything happens, and may look on without changing it.
    """
    chosen = all_scenarios()[name]
    runs: list[Run] = []

    async def main(world: World) -> None:
        run = Run(world, nodes=nodes or chosen.nodes)
        runs.append(run)
        if not is_judged:
            run.bench.dismiss()
        if watch is not None:
            watch(run)
        await chosen.play(run)

    error: BaseException | None = None
    started = time.process_time()
    try:
        run_world(
            seed,
            main,
            profile=chosen.profile,
            link=chosen.link,
            seconds_max=chosen.seconds_max,
            injections_max=injections_max,
            chores=Chores(minds_own_things=chosen.minds_own_things, repairs=chosen.repairs),
        )
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as caught:  # noqa: BLE001 - whatever it is, an escape from the world too, it is the outcome
        error = the_cause(caught)
    (run,) = runs
    if error is None and injections_max is None:
        silent = sorted(chosen.faults - set(run.log.fired))
        if silent:
            error = JudgementError(FIRED, f"never fired: {', '.join(silent)}")
    return Outcome(
        scenario=name,
        seed=seed,
        nodes=run.nodes,
        trace_hash=run.world.trace.digest(),
        events=run.world.trace.count,
        virtual_seconds=run.world.clock.current_time(),
        cpu_seconds=time.process_time() - started,
        injected=run.log.injected,
        fired=dict(run.log.fired),
        checked=run.checked,
        figures=run.figures,
        error=error,
    )


def the_cause(error: BaseException) -> BaseException:
    """Return the one exception of a group that says most: a judgement if there is one, else the first.

    An interruption by the user is no outcome: it is raised.
    """
    leaves = _leaves(error)
    for each in leaves:
        if isinstance(each, KeyboardInterrupt | SystemExit):
            raise each from error
    return next((each for each in leaves if isinstance(each, JudgementError)), leaves[0])


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]
