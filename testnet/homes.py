"""The homes of testnet nodes: made in this process, which is ten times faster than ten `p2pnode init`."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from p2pnode.storage.home import HomeSettings, create_home
from p2pnode.system import SystemRng
from testnet.sim.rng import SimRng

LISTEN = "/ip4/127.0.0.1/tcp/0"
QUOTA_BYTES = 20 * 1000**3


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is special about one node."""

    name: str
    network: str
    seed: str | None
    """Keys are derived from it and the name; None makes random keys."""
    bootstrap: str | None
    """The multiaddr of the node to begin with; None for the first one."""


MakeHome = Callable[[Path, Plan], None]


def make_home(home: Path, plan: Plan) -> None:
    """Make the home of one node on loopback. Raises `HomeError`.

    Whoever knows the seed knows the keys: it is for testnets only.
    """
    _make(home, plan, repair=True)


def make_home_that_repairs_nothing(home: Path, plan: Plan) -> None:
    """Make it as `make_home` does, but let its node leave what is lost as it is."""
    _make(home, plan, repair=False)


def _make(home: Path, plan: Plan, *, repair: bool) -> None:
    settings = HomeSettings(
        network=plan.network,
        profile="testnet",
        listen=(LISTEN,),
        bootstrap=(plan.bootstrap,) if plan.bootstrap else (),
        quota_bytes=QUOTA_BYTES,
        repair=repair,
    )
    rng = SystemRng() if plan.seed is None else SimRng(random.Random(f"{plan.seed}/{plan.name}"))
    create_home(home, settings=settings, rng=rng)
