"""Run this home's node in the foreground, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import gc
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Protocol

import trio
import typer

from p2pnode.api.app import make_app
from p2pnode.api.problems import known_cause
from p2pnode.api.server import bind, serve, url_of
from p2pnode.cli.options import bytes_of
from p2pnode.cli.solving import with_solved_work
from p2pnode.errors import CallerError, ExitCode, HomeError, P2PNodeError
from p2pnode.services.results import NodeFace
from p2pnode.storage.home import (
    DaemonInfo,
    Home,
    lock_home,
    open_home,
    remove_daemon_info,
    write_daemon_info,
)
from p2pnode.storage.settings import HomeSettings
from p2pnode.system import bound_memory_arenas

_log = logging.getLogger(__name__)

STOP_S_MAX = 3.0
"""How long a node may take to stop in good order before what is left is cancelled."""

HARD_STOP_S = 6.0
"""After this a thread ends the process, whatever hangs. What was acknowledged is on disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Where a node listens, what it tells others, and whom it asks first; multiaddrs."""

    listen: tuple[str, ...]
    announce: tuple[str, ...]
    bootstrap: tuple[str, ...]


class OpenNode(Protocol):
    """`p2pnode.open_node.open_node`, or a test's: a context with a running node, which stops when it is left."""

    def __call__(
        self, home: Home, *, listen: tuple[str, ...], announce: tuple[str, ...], bootstrap: tuple[str, ...]
    ) -> AbstractAsyncContextManager[NodeFace]:
        """Return the context."""
        ...


class _Stop:
    """The wish to stop: it interrupts a start, and tells a running daemon."""

    def __init__(self, scope: trio.CancelScope) -> None:
        self._scope = scope
        self._wanted = trio.Event()
        self._running = False
        self._last_resort = threading.Timer(HARD_STOP_S, _end_process, args=("it did not stop in time", ExitCode.ERROR))
        self._last_resort.daemon = True

    def request(self, why: str) -> None:
        """Stop in good order; the second request ends the process at once."""
        if self._wanted.is_set():
            _end_process("asked to stop a second time", ExitCode.INTERRUPTED)
        _log.info("stopping: %s", why)
        self._wanted.set()
        self._last_resort.start()
        if self._running:
            self._scope.deadline = trio.current_time() + STOP_S_MAX
        else:
            self._scope.cancel()

    async def wait(self) -> None:
        """Wait for the wish; from here on a stop waits for good order."""
        self._running = True
        await self._wanted.wait()

    def finished(self) -> None:
        """Tell that the daemon has stopped."""
        self._last_resort.cancel()


async def run_daemon(
    home: Home, listener: socket.socket, *, open_node: OpenNode, addresses: Addresses, exit_with_fd: int | None = None
) -> None:
    """Run a node and its API until a signal, or the end of the pipe `exit_with_fd`. Takes the socket over.

    Raises what `open_node` raises, alone or in a group.
    """
    async with trio.open_nursery() as nursery:
        stop = _Stop(nursery.cancel_scope)
        await nursery.start(_request_on_signal, stop)
        if exit_with_fd is not None:
            nursery.start_soon(_request_at_end_of_pipe, exit_with_fd, stop)
        try:
            async with open_node(
                home, listen=addresses.listen, announce=addresses.announce, bootstrap=addresses.bootstrap
            ) as node:
                await _serve_until(stop, node, home, listener)
        finally:
            stop.finished()
        nursery.cancel_scope.cancel()


async def _serve_until(stop: _Stop, node: NodeFace, home: Home, listener: socket.socket) -> None:
    """Serve the API, and say so to other programs by `daemon.json`, until a stop is asked for."""
    async with trio.open_nursery() as nursery:
        await nursery.start(functools.partial(serve, make_app(node, token=home.api_token), listener))
        async with _announced(home, node, api=url_of(listener)):
            await stop.wait()
            # Transfers under way are cut now: the node is still whole, so each ends as if its client had left.
            nursery.cancel_scope.cancel()


@contextlib.asynccontextmanager
async def _announced(home: Home, node: NodeFace, *, api: str) -> AsyncIterator[None]:
    info = node.info()
    addresses = tuple(_with_peer_id(address, info.peer_id) for address in info.addresses)
    about = DaemonInfo(pid=os.getpid(), peer_id=info.peer_id, addresses=addresses, api=api, started=time.time())
    await trio.to_thread.run_sync(write_daemon_info, home.path, about)
    try:
        _say(f"node {info.peer_id} listens on {', '.join(addresses) or 'no address'}")
        _say(f"api on {api}, stop with Ctrl-C")
        yield
    finally:
        remove_daemon_info(home.path)


def _with_peer_id(address: str, peer_id: str) -> str:
    """Return the address as others need it, whether or not the node has added its peer id already."""
    suffix = f"/p2p/{peer_id}"
    return address if address.endswith(suffix) else address + suffix


async def _request_on_signal(stop: _Stop, *, task_status: trio.TaskStatus[None]) -> None:
    signals = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # Under `nohup` it is to be ignored.
        signals.append(signal.SIGHUP)
    with trio.open_signal_receiver(*signals) as received:
        task_status.started()
        async for number in received:
            stop.request(signal.Signals(number).name)


async def _request_at_end_of_pipe(descriptor: int, stop: _Stop) -> None:
    """Stop when the process that holds the other end has ended: no test's node outlives it."""
    os.set_blocking(descriptor, False)
    while True:
        await trio.lowlevel.wait_readable(descriptor)
        with contextlib.suppress(BlockingIOError):
            if not os.read(descriptor, 1024):
                stop.request("the pipe of --exit-with-fd has ended")
                return


def _end_process(why: str, code: ExitCode) -> None:
    _log.error("ended at once: %s", why)
    os._exit(int(code))


def _say(line: str) -> None:
    with contextlib.suppress(OSError):  # A node goes on when nobody reads its terminal any more.
        typer.echo(line, err=True)


@contextlib.contextmanager
def _own_errors() -> Iterator[None]:
    """Let only one of our own errors out, which the command line shows as one line; log the traceback of others."""
    try:
        yield
    except Exception as error:
        known = known_cause(error)
        if known is not None:
            raise known from error
        _log.exception("the node ended with an internal error")
        message = "the node ended with an internal error: the log above has the details"
        raise P2PNodeError(message) from error


def _load_open_node() -> OpenNode:
    """Load the node, which brings libp2p and takes seconds: so it comes after what can go wrong at once.

    What is loaded stays until the end. The garbage collector would look through it again and again while it loads,
    at every full collection later, and at the exit, where that alone costs half a second: it is told not to.
    """
    gc.disable()
    try:
        from p2pnode.open_node import open_node  # noqa: PLC0415
    finally:
        gc.freeze()
        gc.enable()
    return open_node


def _log_to_stderr(*, verbose: bool) -> None:
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    logging.getLogger("p2pnode").setLevel(logging.DEBUG if verbose else logging.INFO)
    logging.raiseExceptions = False  # A log that cannot be written must not fill what is left of stderr.


app = typer.Typer(add_completion=False)


@app.command(help=__doc__)
def run(  # noqa: PLR0913 - one parameter an option
    *,
    home: Annotated[Path, typer.Option(envvar="P2PNODE_HOME", help="The node's home.", show_default=True)] = Path(
        "~/.p2pnode"
    ),
    listen: Annotated[
        list[str] | None, typer.Option(help="Listen here instead of as the home says; multiaddr.")
    ] = None,
    announce: Annotated[list[str] | None, typer.Option(help="Tell others this address; multiaddr.")] = None,
    bootstrap: Annotated[list[str] | None, typer.Option(help="A node to begin with; multiaddr with /p2p/ID.")] = None,
    api: Annotated[str | None, typer.Option(help="Where the API listens, HOST:PORT; port 0 takes a free one.")] = None,
    limit_up: Annotated[
        str | None, typer.Option(help="Send at most so fast, such as 5MB/s; 0 for no limit.", show_default=False)
    ] = None,
    limit_down: Annotated[
        str | None, typer.Option(help="Receive at most so fast, such as 20MB/s; 0 for no limit.", show_default=False)
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Log more.")] = False,
    exit_with_fd: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Read options and home, and run."""
    bound_memory_arenas()
    _log_to_stderr(verbose=verbose)
    path = home.expanduser()
    opened = open_home(path)
    settings = _with_limits(opened.settings, up=limit_up, down=limit_down)
    opened = dataclasses.replace(opened, settings=settings)
    addresses = Addresses(
        listen=tuple(listen or settings.listen),
        announce=tuple(announce or settings.announce),
        bootstrap=tuple(bootstrap or settings.bootstrap),
    )
    with _own_errors(), lock_home(path), bind(api or settings.api) as listener:
        remove_daemon_info(path)  # What a killed daemon left, so that nobody takes it for ours.
        opened = with_solved_work(opened)
        main = functools.partial(
            run_daemon, opened, listener, open_node=_load_open_node(), addresses=addresses, exit_with_fd=exit_with_fd
        )
        trio.run(main)
    sys.stderr.flush()


def _with_limits(settings: HomeSettings, *, up: str | None, down: str | None) -> HomeSettings:
    """Return the settings with other limits of bandwidth. Raises `CallerError`."""
    try:
        if up is not None:
            limit = bytes_of(up.removesuffix("/s"), option="--limit-up")
            settings = dataclasses.replace(settings, limit_up_bytes_per_s=limit)
        if down is not None:
            limit = bytes_of(down.removesuffix("/s"), option="--limit-down")
            settings = dataclasses.replace(settings, limit_down_bytes_per_s=limit)
    except HomeError as error:  # Here it is an argument, not a file that was read.
        raise CallerError(str(error)) from error
    return settings


command = typer.main.get_command(app)
