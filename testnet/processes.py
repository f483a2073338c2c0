"""Networks of real node processes on loopback: start them, wait until they know each other, kill some, end them all.

Two rules keep processes from being left behind. A *tied* node inherits the read end of a pipe whose write end only
this process has: when this process ends, however it ends, the node sees the end of the pipe and stops. A node that is
not tied (`python -m testnet up`) runs on in a session of its own; its mark is in `testnet.json` as soon as it exists,
and whatever stops `up` before the network stands ends what it has started.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from p2pnode.errors import CallerError, NoDaemonError, P2PNodeError
from testnet import api, client, homes, pids, state
from testnet.forks import FD, Forked, Forks
from testnet.signals import never_stops
from testnet.state import NetworkState, NodeState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path
    from types import TracebackType

START_TIMEOUT_S = 120.0
"""Ten nodes take some seconds of CPU time until they know each other; a loaded machine takes its time."""
STOP_GRACE_S = 5.0
"""How long a node may take to stop cleanly before it is killed."""
KILL_TIMEOUT_S = 10.0
"""How long the system may take to end a killed process."""
LOG_LINES_SHOWN = 8
_POLL_S = 0.05
_DAEMON_FILE = "daemon.json"


class StartError(P2PNodeError):
    """A node did not start, or the nodes did not find each other in time; the message ends with the node's log."""

    reason = "TESTNET_START"


class Testnet:
    """A network of node processes. As a context manager it ends them all, whatever happens inside.

    Every method may raise `StartError`; those that take names raise `CallerError` for an unknown one.
    """

    __test__ = False  # pytest would take the class for a test because of its name.

    def __init__(
        self,
        directory: Path,
        *,
        tied: bool = True,
        program: Sequence[str] | None = None,
        make_home: homes.MakeHome = homes.make_home,
        check: Callable[[], None] = never_stops,
    ) -> None:
        """Keep everything in `directory`; nothing is started. `check` is called while waiting and may raise.

        Without a `program` the nodes are forks of one process that has loaded ours, where forks are safe.
        """
        self.directory = directory
        self._tied = tied
        self._program = tuple(program or client.COMMAND)
        self._forks = Forks() if program is None and sys.platform == "linux" else None
        self._make_home = make_home
        self._check = check
        self._network = f"testnet-{secrets.token_hex(4)}"
        self._nodes: dict[str, NodeState] = {}
        self._children: dict[str, subprocess.Popen[bytes] | Forked] = {}
        self._pipe: tuple[int, int] | None = None

    @classmethod
    def load(cls, directory: Path, *, check: Callable[[], None] = never_stops) -> Self:
        """Return the testnet that `python -m testnet up` left in a directory. Raises `StateError`."""
        loaded = state.load(directory)
        network = cls(directory, tied=False, check=check)
        network._network = loaded.network
        network._nodes = {node.name: node for node in loaded.nodes}
        return network

    def __enter__(self) -> Self:
        """Return itself; `start` starts the nodes."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End every node."""
        self.stop()

    @property
    def nodes(self) -> tuple[NodeState, ...]:
        """All nodes, in the order of their names, also those that do not run."""
        return tuple(self._nodes.values())

    @property
    def running(self) -> tuple[NodeState, ...]:
        """The nodes whose processes run."""
        return tuple(node for node in self.nodes if node.is_running())

    def node(self, name: str) -> NodeState:
        """Return one node. Raises `CallerError` when there is none of this name."""
        if name not in self._nodes:
            message = f"no node {name!r} here: there are {', '.join(self._nodes)}"
            raise CallerError(message)
        return self._nodes[name]

    def start(self, count: int, *, seed: str | None = None, timeout_s: float = START_TIMEOUT_S) -> None:
        """Start `count` nodes, node-00 first, and wait until each knows every other."""
        if self._nodes:
            message = f"{self.directory} has a testnet already"
            raise CallerError(message)
        deadline = time.monotonic() + timeout_s
        names = [f"node-{index:02}" for index in range(count)]
        try:
            self._launch(names[:1], seed=seed, bootstrap=None, deadline=deadline)
            self._launch(names[1:], seed=seed, bootstrap=self.node(names[0]).address, deadline=deadline)
            self._wait_acquainted(deadline)
        except BaseException:
            self.stop(grace_s=0)
            raise

    def wait_acquainted(self, *, timeout_s: float = START_TIMEOUT_S) -> None:
        """Wait until each running node knows every other running node."""
        self._wait_acquainted(time.monotonic() + timeout_s)

    def kill(self, names: Iterable[str]) -> None:
        """End nodes as a power cut would: SIGKILL. No error for one that has ended already."""
        self._end([self.node(name) for name in names], grace_s=0)

    def terminate(self, names: Iterable[str], *, grace_s: float = STOP_GRACE_S) -> dict[str, int | None]:
        """Ask nodes to stop (SIGTERM), kill those that do not; return the exit codes, None where they are unknown."""
        chosen = [self.node(name) for name in names]
        children = {node.name: self._children.get(node.name) for node in chosen}
        self._end(chosen, grace_s=grace_s)
        return {name: child.returncode if child else None for name, child in children.items()}

    def restart(self, names: Iterable[str], *, timeout_s: float = START_TIMEOUT_S) -> None:
        """Start nodes again in their homes, at their former addresses where these are free; wait until they listen."""
        chosen = [self.node(name) for name in names]
        for node in chosen:
            if node.is_running():
                message = f"{node.name} runs already"
                raise CallerError(message)
        others = [node.address for node in self.running]
        for node in chosen:
            arguments = ["--bootstrap", others[0]] if others else []
            if _is_free(node.address):
                arguments += ["--listen", _without_peer(node.address)]
            self._spawn(node, arguments)
        self._save()
        self._wait_listening([node.name for node in chosen], time.monotonic() + timeout_s)

    def stop(self, *, grace_s: float = STOP_GRACE_S) -> None:
        """End every node: SIGTERM, then SIGKILL after the grace. What they wrote stays."""
        self._end(list(self.nodes), grace_s=grace_s)
        if self._forks is not None:
            self._forks.close()
        if self._pipe is not None:
            for end in self._pipe:
                os.close(end)
            self._pipe = None

    def remove(self) -> None:
        """Remove what a stopped testnet wrote, and its directory unless something else is in it."""
        left = NetworkState(network=self._network, nodes=self.nodes)
        for path in state.discard(self.directory, left):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        with suppress(OSError):
            self.directory.rmdir()

    def log_end(self, name: str, lines: int = LOG_LINES_SHOWN) -> str:
        """Return the last lines of a node's log."""
        log = self.node(name).log
        text = log.read_text("utf-8", "replace") if log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def _launch(self, names: list[str], *, seed: str | None, bootstrap: str | None, deadline: float) -> None:
        """Make homes, start all at once, wait until all listen."""
        for name in names:
            home = self.directory / name / "home"
            home.parent.mkdir(parents=True)
            self._make_home(home, homes.Plan(name=name, network=self._network, seed=seed, bootstrap=bootstrap))
            node = NodeState(name=name, home=home, peer_id="", address="", api="", process=None)
            self._nodes[name] = node
            self._spawn(node, [])
            self._save()
        self._wait_listening(names, deadline)

    def _spawn(self, node: NodeState, arguments: list[str]) -> None:
        inherited: tuple[int, ...] = ()
        if self._tied:
            self._pipe = self._pipe or os.pipe()
            inherited = (self._pipe[0],)
        with node.log.open("ab") as log:
            child = self._start_process(["run", *arguments], client.environment(node.home), log.fileno(), inherited)
        self._children[node.name] = child
        self._nodes[node.name] = replace(node, process=pids.mark_of(child.pid))

    def _start_process(
        self, arguments: list[str], environment: dict[str, str], log: int, inherited: tuple[int, ...]
    ) -> subprocess.Popen[bytes] | Forked:
        if self._forks is not None:
            tie = ["--exit-with-fd", f"{FD}0"] if inherited else []
            return self._forks.start([*arguments, *tie], environment=environment, log=log, inherited=inherited)
        tie = ["--exit-with-fd", str(inherited[0])] if inherited else []
        return subprocess.Popen(
            [*self._program, *arguments, *tie],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=inherited,
            # A Ctrl-C on the terminal reaches us only: we decide when the nodes end.
            start_new_session=True,
        )

    def _wait_listening(self, names: list[str], deadline: float) -> None:
        waiting = list(names)
        while waiting:
            self._check()
            waiting = [name for name in waiting if not self._listens(name)]
            if waiting and time.monotonic() > deadline:
                raise self._start_error(waiting[0], "does not listen yet")
            if waiting:
                time.sleep(_POLL_S)
        self._save()

    def _listens(self, name: str) -> bool:
        """Take over what the node wrote about itself once it was ready."""
        node, child = self._nodes[name], self._children[name]
        if child.poll() is not None:
            raise self._start_error(name, f"ended with exit code {child.returncode}")
        try:
            raw = json.loads((node.home / _DAEMON_FILE).read_text("utf-8"))
        except (FileNotFoundError, ValueError):
            return False
        if raw["pid"] != child.pid:
            return False  # An earlier daemon of this home was killed and could not remove its file.
        self._nodes[name] = replace(node, peer_id=raw["peer_id"], address=raw["addresses"][0], api=raw["api"])
        return True

    def _wait_acquainted(self, deadline: float) -> None:
        waiting = list(self.running)
        everyone = {node.peer_id: node.name for node in waiting}
        while waiting:
            node = waiting[0]
            self._check()
            missing = everyone.keys() - {node.peer_id} - self._known_to(node)
            if not missing:
                waiting.pop(0)
            elif time.monotonic() > deadline:
                unknown = ", ".join(sorted(everyone[peer_id] for peer_id in missing))
                raise self._start_error(node.name, f"does not know {unknown} yet")
            else:
                waiting.append(waiting.pop(0))
                time.sleep(_POLL_S)

    def _known_to(self, node: NodeState) -> set[str]:
        child = self._children.get(node.name)
        if child is not None and child.poll() is not None:
            raise self._start_error(node.name, f"ended with exit code {child.returncode}")
        try:
            return api.active_peers(node)
        except NoDaemonError:
            return set()  # It listens but is too busy to answer; the deadline bounds how often this may happen.

    def _end(self, nodes: list[NodeState], *, grace_s: float) -> None:
        marks = [node.process for node in nodes if node.process is not None]
        if grace_s > 0:
            for mark in marks:
                pids.send_signal(mark, signal.SIGTERM)
            marks = pids.wait_ended(marks, timeout_s=grace_s)
        for mark in marks:
            pids.send_signal(mark, signal.SIGKILL)
        pids.wait_ended(marks, timeout_s=KILL_TIMEOUT_S)
        for node in nodes:
            child = self._children.pop(node.name, None)
            if isinstance(child, subprocess.Popen):
                child.wait(KILL_TIMEOUT_S)
            elif child is not None:
                child.poll()

    def _save(self) -> None:
        state.save(self.directory, NetworkState(network=self._network, nodes=self.nodes))

    def _start_error(self, name: str, what: str) -> StartError:
        log = self.log_end(name)
        ending = f"; its log ends:\n{log}" if log else "; its log is empty"
        return StartError(f"{name} {what}{ending}")


def _without_peer(address: str) -> str:
    return address.partition("/p2p/")[0]


def _is_free(address: str) -> bool:
    """Tell whether the TCP port of a multiaddr can be listened on now."""
    if not address:
        return False
    _, _, host, _, port, *_ = address.split("/")  # /ip4/127.0.0.1/tcp/4001/p2p/...
    with socket.socket() as probe:
        # As the node will: else the connections of the killed node would keep the port for a minute.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, int(port)))
        except OSError:
            return False
    return True
