"""Doing the admission work of a network, with a bar for whoever waits: for `init`, `join`, and an old home in `run`."""

from __future__ import annotations

import contextlib
import secrets
import sys
from collections.abc import Callable, Iterator

from crypto.keys import SigningKey
from crypto.work import NONCE_BYTES, BadWorkError, Task, attempts, check_work
from p2pnode.config import PROFILES
from p2pnode.storage.home import Home, HomeSettings, with_work


def solve_for(identity: SigningKey, settings: HomeSettings, *, says_so: bool) -> bytes:
    """Return the solution for an identity, which takes a while; empty where the network asks for no work."""
    task = _task_of(identity, settings)
    return b"" if task is None else _solve(task, says_so=says_so)


def with_solved_work(home: Home) -> Home:
    """Return the home with a solution that its network takes: the one it has, else one that is found and kept now.

    Raises `HomeError` when it cannot be kept.
    """
    task = _task_of(home.identity, home.settings)
    if task is None:
        return home
    try:
        check_work(task, home.work)
    except BadWorkError:
        return with_work(home, _solve(task, says_so=True))
    return home


def _task_of(identity: SigningKey, settings: HomeSettings) -> Task | None:
    cost = PROFILES[settings.profile].admission_work
    return Task(identity.public, settings.network, cost) if cost else None


def _solve(task: Task, *, says_so: bool) -> bytes:
    """Try until a solution is found; Ctrl-C ends it between two tries."""
    with _progress(task, says_so=says_so) as advance:
        for solution in attempts(task, start=secrets.randbits(8 * NONCE_BYTES)):
            if solution is not None:
                return solution
            advance()
    raise AssertionError  # The attempts end with a solution only.


@contextlib.contextmanager
def _progress(task: Task, *, says_so: bool) -> Iterator[Callable[[], None]]:
    """Say on stderr what takes so long; on a terminal with a bar that is full after the expected number of tries."""
    what = f"admission work for the network {task.network}, once for this node"
    if not says_so or sys.stderr is None:
        yield _ignore
        return
    if not sys.stderr.isatty():
        print(f"p2pnode: {what}: about {task.tries_expected} tries, some seconds up to a minute", file=sys.stderr)
        yield _ignore
        return
    # Rich takes a while to load, and only people see a bar.
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("try {task.completed:.0f}, {task.fields[expected]} expected", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        shown = bar.add_task(what, total=task.tries_expected, expected=task.tries_expected)
        yield lambda: bar.advance(shown)


def _ignore() -> None:
    pass
