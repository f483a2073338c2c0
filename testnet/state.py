"""What a testnet's directory says about it: `testnet.json`, and where this user's testnets are."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import tempfile
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from p2pnode.errors import CallerError, P2PNodeError
from testnet.pids import ProcessMark, is_running

if TYPE_CHECKING:
    from collections.abc import Iterator

STATE_FILE = "testnet.json"
LOCK_FILE = "testnet.lock"
_VERSION = 1


class StateError(P2PNodeError):
    """A directory without a usable `testnet.json`."""

    reason = "TESTNET_STATE"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeState:
    """One node: who it is, where it keeps its things, and its process, which may have ended."""

    name: str
    home: Path
    peer_id: str
    address: str
    """The multiaddr with the peer id that it last listened on; empty before its first start."""
    api: str
    process: ProcessMark | None

    @property
    def log(self) -> Path:
        """Where the node's output goes."""
        return self.home.parent / "node.log"

    def is_running(self) -> bool:
        """Tell whether its process runs."""
        return self.process is not None and is_running(self.process)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkState:
    """A testnet as it stands in `testnet.json`."""

    network: str
    nodes: tuple[NodeState, ...]


def save(directory: Path, state: NetworkState) -> None:
    """Write `testnet.json` so that a reader sees the old or the new one, whole."""
    nodes = [{**asdict(node), "home": str(node.home)} for node in state.nodes]
    text = json.dumps({"version": _VERSION, "network": state.network, "nodes": nodes}, indent=2)
    handle, temporary = tempfile.mkstemp(dir=directory, prefix=STATE_FILE)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    Path(temporary).replace(directory / STATE_FILE)


def load(directory: Path) -> NetworkState:
    """Read `testnet.json`. Raises `StateError`."""
    path = directory / STATE_FILE
    try:
        raw = json.loads(path.read_text("utf-8"))
        if raw["version"] != _VERSION:
            message = f"{path} has version {raw['version']}, this program reads {_VERSION}"
            raise StateError(message)
        nodes = tuple(_node(entry) for entry in raw["nodes"])
        return NetworkState(network=str(raw["network"]), nodes=nodes)
    except FileNotFoundError as error:
        message = f"no testnet in {directory}: start one with `python -m testnet up --dir {directory}`"
        raise StateError(message) from error
    except (OSError, KeyError, TypeError, ValueError) as error:
        message = f"{path} cannot be read ({error!r}): end its nodes by hand and remove the directory"
        raise StateError(message) from error


def _node(entry: dict[str, object]) -> NodeState:
    process = entry["process"]
    mark = ProcessMark(int(process["pid"]), str(process["started"])) if isinstance(process, dict) else None
    name, home, peer_id, address, api = (str(entry[key]) for key in ("name", "home", "peer_id", "address", "api"))
    return NodeState(name=name, home=Path(home), peer_id=peer_id, address=address, api=api, process=mark)


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Keep other commands that change this testnet waiting until the block ends."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / LOCK_FILE).open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def discard(directory: Path, state: NetworkState) -> list[Path]:
    """Return what of the directory belongs to the testnet, for removal; anything else in it is the user's."""
    return [*(node.home.parent for node in state.nodes), directory / STATE_FILE, directory / LOCK_FILE]


def registry() -> Path:
    """Return the directory that holds this user's testnets, or links to those that are elsewhere."""
    cache = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(cache) if Path(cache).is_absolute() else Path.home() / ".cache") / "p2pnode" / "testnets"


def fresh_directory() -> Path:
    """Make a directory for a new testnet and return it."""
    base = registry()
    base.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(dir=base, prefix=time.strftime("%Y%m%d-%H%M%S-")))


def register(directory: Path) -> None:
    """Let commands without `--dir` find this testnet."""
    directory = directory.resolve()
    if directory.parent == registry().resolve():
        return
    registry().mkdir(parents=True, exist_ok=True)
    _link(directory).unlink(missing_ok=True)
    _link(directory).symlink_to(directory)


def forget(directory: Path) -> None:
    """Undo `register`; no error when it was not registered."""
    with contextlib.suppress(OSError):
        _link(directory.resolve()).unlink(missing_ok=True)


def _link(directory: Path) -> Path:
    return registry() / ("elsewhere-" + hashlib.sha256(os.fsencode(directory)).hexdigest()[:16])


def chosen(directory: Path | None) -> Path:
    """Return the testnet that is meant: the given one, else the only one that runs, else the most recent.

    Raises `CallerError` when there is none, or when several run: a command may kill, so it must not guess.
    """
    if directory is not None:
        return directory.resolve()
    known = {path.resolve(): path.stat().st_mtime for path in registry().glob(f"*/{STATE_FILE}")}
    if not known:
        message = "no testnet was started by this user: `python -m testnet up --nodes 10` starts one"
        raise CallerError(message)
    running = [path for path in known if any(node.is_running() for node in load(path.parent).nodes)]
    if len(running) > 1:
        names = ", ".join(str(path.parent) for path in sorted(running))
        message = f"several testnets run, say which with --dir: {names}"
        raise CallerError(message)
    return (running or [max(known, key=known.__getitem__)])[0].parent
