"""A progress bar on stderr, for a person who waits; nothing when stderr is no terminal."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def progress_bar(title: str, *, size: int | None, wanted: bool) -> Iterator[Callable[[int], None]]:
    """Give a function that is told how many bytes have moved since the last call."""
    if not wanted or sys.stderr is None or not sys.stderr.isatty():
        yield _ignore
        return
    # Rich takes a while to load, and most commands of scripts show no bar.
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=size)
        yield lambda count: bar.advance(task, count)


def _ignore(_count: int) -> None:
    pass
