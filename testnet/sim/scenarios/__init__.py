"""The scenarios: each a short function that says what goes wrong, and what must hold all the same.

The order of each: safety under faults, then `Run.heal` for a core of the nodes while the rest stays broken for ever,
then `Run.demand_progress`. `SCENARIOS` has them all by name; a module of this package adds its own with `@scenario`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from p2pnode.config import Profile
from testnet.sim.admission import AUDITING
from testnet.sim.fabric import Link
from testnet.sim.faults import FaultKind

if TYPE_CHECKING:
    from testnet.sim.run import Run

Play = Callable[["Run"], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One scenario, and in which world it is played."""

    name: str
    play: Play
    faults: frozenset[FaultKind]
    """The kinds that it is about: each must fire in every run."""
    nodes: int
    """How many nodes there are unless the user says otherwise."""
    profile: Profile = AUDITING
    link: Link = field(default_factory=Link)
    seconds_max: float = 24 * 3600.0
    """Virtual time after which it has failed."""
    is_large: bool = False
    """Whether it takes minutes: then it is played when it is named, and not among all."""
    minds_own_things: bool = False
    """Whether nodes renew what their owners stored, and publish the list of it."""
    repairs: bool = False
    """Whether nodes rebuild what is missing."""


NODES = 7
"""The least of which two may fail in any way: what happens among seven happens among ten, at half the cost."""

SITE_NODES = 10
"""For what needs more of them: three that are lost, three sides of a cut."""

SCENARIOS: dict[str, Scenario] = {}


def scenario(
    *faults: FaultKind,
    nodes: int = NODES,
    profile: Profile = AUDITING,
    link: Link | None = None,
    seconds_max: float = 24 * 3600.0,
    is_large: bool = False,
    minds_own_things: bool = False,
    repairs: bool = False,
) -> Callable[[Play], Play]:
    """Add a function to the scenarios; its name, with hyphens, is the scenario's."""

    def add(play: Play) -> Play:
        name = play.__name__.replace("_", "-")
        assert name not in SCENARIOS, f"two scenarios are called {name}"
        SCENARIOS[name] = Scenario(
            name=name,
            play=play,
            faults=frozenset(faults),
            nodes=nodes,
            profile=profile,
            link=link or Link(),
            seconds_max=seconds_max,
            is_large=is_large,
            minds_own_things=minds_own_things,
            repairs=repairs,
        )
        return play

    return add
