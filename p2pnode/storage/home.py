"""A node's home directory: its two keys, its settings, the API's token, its data, and who runs on it now.

Layout: `identity.key`, `owner.key`, `api-token` (0600), in a network with a secret `network-secret` (0600), in one that
asks for admission work `admission-work`, after a rotation of the owner key `owner-predecessors` (0600), `config.toml`,
`data/` unless the data lies elsewhere, `data-directories` (which those are), and while a daemon runs `lock` (held) and
`daemon.json`. Nothing here ever overwrites a key, but a rotation that was asked for (`owner_key.py`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from crypto.keys import SEED_BYTES, BadKeyError, KeyPurpose, SigningKey, key_from_text, key_to_text
from p2pnode.errors import HomeError, HomeInUseError
from p2pnode.protocols.successions import Predecessor
from p2pnode.seams import Rng
from p2pnode.storage.files import DiskFiles
from p2pnode.storage.homefile import SMALL_FILE_BYTES_MAX, check_private, read_text, replace_file
from p2pnode.storage.predecessorsfile import predecessors_from_text, predecessors_to_text
from p2pnode.storage.settings import HomeSettings, settings_from_text, settings_to_text, with_bootstrap, with_quota
from p2pnode.storage.workfile import work_from_text, work_to_text
from wire.errors import WireError
from wire.ids import PublicKey
from wire.network_secret import NetworkSecret

__all__ = [
    "DaemonInfo",
    "Home",
    "HomeSettings",
    "add_bootstrap",
    "create_home",
    "is_home",
    "lock_home",
    "open_home",
    "read_daemon_info",
    "read_text",
    "remove_daemon_info",
    "replace_file",
    "rewrite_config",
    "with_work",
    "write_daemon_info",
    "write_quota",
]

IDENTITY_FILE = "identity.key"
OWNER_FILE = "owner.key"
PREDECESSORS_FILE = "owner-predecessors"
CONFIG_FILE = "config.toml"
TOKEN_FILE = "api-token"  # noqa: S105 - a file's name
SECRET_FILE = "network-secret"  # noqa: S105 - a file's name
WORK_FILE = "admission-work"
LOCK_FILE = "lock"
DAEMON_FILE = "daemon.json"

TOKEN_BYTES = 32
_SECRET_MODE = 0o600
_CONFIG_MODE = 0o644


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """An opened home."""

    path: Path
    identity: SigningKey
    """Signs receipts and the member record; the peer id carries its public half."""
    owner: SigningKey
    """Signs leases."""
    predecessors: tuple[Predecessor, ...] = ()
    """The owner's earlier keys, the earliest first."""
    settings: HomeSettings
    secret: NetworkSecret | None
    """The secret of the network, None when it has none."""
    api_token: str
    work: bytes = b""
    """The solution of the network's admission work; empty where none is asked, or while it is not solved."""

    @property
    def data_paths(self) -> tuple[Path, ...]:
        """Where slivers live; records and the index in the first."""
        return tuple((self.path / Path(each).expanduser()).absolute() for each in self.settings.data_dirs)

    @property
    def data_path(self) -> Path:
        """Where records and the index live."""
        return self.data_paths[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonInfo:
    """Who runs on a home, for the commands that speak to it. It may be stale after a kill: try the API."""

    pid: int
    peer_id: str
    addresses: tuple[str, ...]
    api: str
    """The base URL of the HTTP API."""
    started: float
    """Seconds since 1970."""


def create_home(
    path: Path,
    *,
    settings: HomeSettings,
    rng: Rng,
    secret: NetworkSecret | None = None,
    solve: Callable[[SigningKey], bytes] | None = None,
    identity: SigningKey | None = None,
    owner: SigningKey | None = None,
    predecessors: tuple[Predecessor, ...] = (),
) -> Home:
    """Make a new home, with new keys unless given, durable when this returns; a secret and its setting go together.

    `solve` does the network's admission work for the identity before anything is written. Whatever it raises leaves no
    trace; without it the work is left for later.

    Raises `HomeError` when there is one already, whole or in part, or when the disk does not let us; then what this
    call made is gone again.
    """
    assert settings.has_secret == (secret is not None), "a secret and the setting that tells of it go together"
    _refuse_existing(path)
    identity = identity or SigningKey(rng.random_bytes(SEED_BYTES))
    home = Home(
        path=path,
        identity=identity,
        owner=owner or SigningKey(rng.random_bytes(SEED_BYTES)),
        predecessors=predecessors,
        settings=settings,
        secret=secret,
        api_token=rng.random_bytes(TOKEN_BYTES).hex(),
        work=b"" if solve is None else solve(identity),
    )
    contents = {
        CONFIG_FILE: (settings_to_text(settings), _CONFIG_MODE),
        TOKEN_FILE: (home.api_token + "\n", _SECRET_MODE),
        OWNER_FILE: (key_to_text(home.owner, KeyPurpose.OWNER), _SECRET_MODE),
        IDENTITY_FILE: (key_to_text(home.identity, KeyPurpose.IDENTITY), _SECRET_MODE),
    }
    if secret is not None:
        contents[SECRET_FILE] = (secret.file_text(), _SECRET_MODE)
    if predecessors:
        contents[PREDECESSORS_FILE] = (predecessors_to_text(predecessors), _SECRET_MODE)
    if home.work:
        contents[WORK_FILE] = (work_to_text(home.work), _CONFIG_MODE)
    written: list[str] = []
    try:
        files = DiskFiles(path)
        for each in home.data_paths:
            DiskFiles(each)
        for name, (text, mode) in contents.items():
            written.append(name)
            files.write_new(name, [text.encode()], mode=mode)
        files.sync_directory("")
    except OSError as error:
        for name in written:
            with contextlib.suppress(OSError):
                (path / name).unlink()
        message = f"cannot make a home in {path}: {error.strerror or error}; choose another directory with --home"
        raise HomeError(message) from error
    return home


def open_home(path: Path) -> Home:
    """Read a home. Raises `HomeError` that names the file and says what to do."""
    if not is_home(path):
        message = f"there is no node in {path}: run 'p2pnode init' first, or name another home"
        raise HomeError(message)
    config = path / CONFIG_FILE
    settings = settings_from_text(read_text(config), where=str(config))
    owner = _read_key(path / OWNER_FILE, KeyPurpose.OWNER)
    return Home(
        path=path,
        identity=_read_key(path / IDENTITY_FILE, KeyPurpose.IDENTITY),
        owner=owner,
        predecessors=_read_predecessors(path / PREDECESSORS_FILE, owner, settings.network),
        settings=settings,
        secret=_read_secret(path / SECRET_FILE, is_expected=settings.has_secret),
        api_token=_read_token(path / TOKEN_FILE),
        work=_read_work(path / WORK_FILE),
    )


def with_work(home: Home, work: bytes) -> Home:
    """Keep a solution of the admission work, in one atomic step. Raises `HomeError`."""
    try:
        replace_file(home.path, WORK_FILE, work_to_text(work), mode=_CONFIG_MODE)
    except OSError as error:
        message = f"cannot write {home.path / WORK_FILE}: {error.strerror or error}"
        raise HomeError(message) from error
    return dataclasses.replace(home, work=work)


def is_home(path: Path) -> bool:
    """Tell whether there is a home, or a part of one."""
    return any(os.path.lexists(path / name) for name in (IDENTITY_FILE, OWNER_FILE, CONFIG_FILE))


def add_bootstrap(home: Home, addresses: Sequence[str]) -> tuple[str, ...]:
    """Put the addresses that are new first in `bootstrap`, in one atomic step; return them.

    Nothing else in `config.toml` changes. Raises `HomeError` that says what to do.
    """
    new = tuple(address for address in dict.fromkeys(addresses) if address not in home.settings.bootstrap)
    if not new:
        return ()
    config = home.path / CONFIG_FILE
    rewrite_config(config, with_bootstrap(read_text(config), new, where=str(config)))
    return new


def write_quota(home: Home, quota_bytes: int) -> None:
    """Keep another quota in `config.toml`, in one atomic step; nothing else there changes. Raises `HomeError`."""
    config = home.path / CONFIG_FILE
    rewrite_config(config, with_quota(read_text(config), quota_bytes, where=str(config)))


@contextlib.contextmanager
def lock_home(path: Path) -> Iterator[None]:
    """Be the only daemon on this home while the context lasts; a killed daemon's lock ends with it.

    Raises `HomeInUseError` with the other's process id, or `HomeError` when the lock file cannot be made.
    """
    try:
        descriptor = os.open(path / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _SECRET_MODE)
    except OSError as error:
        message = f"cannot open {path / LOCK_FILE}: {error.strerror}; is {path} a home, and is it yours?"
        raise HomeError(message) from error
    try:
        _take_lock(descriptor, path)
        yield
    finally:
        os.close(descriptor)  # The file stays: removing it would let two daemons lock two files of one name.


def write_daemon_info(path: Path, info: DaemonInfo) -> None:
    """Say who runs on this home, in one atomic step. Raises `HomeError` when the disk does not let us."""
    text = json.dumps(
        {
            "pid": info.pid,
            "peer_id": info.peer_id,
            "addresses": list(info.addresses),
            "api": info.api,
            "started": info.started,
        }
    )
    try:
        replace_file(path, DAEMON_FILE, text + "\n", mode=_SECRET_MODE)
    except OSError as error:
        message = f"cannot write {path / DAEMON_FILE}: {error.strerror or error}"
        raise HomeError(message) from error


def read_daemon_info(path: Path) -> DaemonInfo | None:
    """Return who said to run on this home; None when nobody did, or when what it said cannot be read."""
    try:
        values = json.loads(read_text(path / DAEMON_FILE))
        return DaemonInfo(
            pid=int(values["pid"]),
            peer_id=str(values["peer_id"]),
            addresses=tuple(str(address) for address in values["addresses"]),
            api=str(values["api"]),
            started=float(values["started"]),
        )
    except (HomeError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


def remove_daemon_info(path: Path) -> None:
    """Say that nobody runs on this home any more; no error when nobody did."""
    with contextlib.suppress(OSError):
        (path / DAEMON_FILE).unlink()


def _refuse_existing(path: Path) -> None:
    for name in (IDENTITY_FILE, OWNER_FILE, PREDECESSORS_FILE, CONFIG_FILE, TOKEN_FILE, SECRET_FILE, WORK_FILE):
        if os.path.lexists(path / name):
            message = (
                f"{path} already has {name}, and it is not overwritten: use that node,"
                " or choose another directory with --home"
            )
            raise HomeError(message)


def rewrite_config(config: Path, text: str) -> None:
    """Replace the settings in one atomic step. Raises `HomeError`."""
    try:
        replace_file(config.parent, CONFIG_FILE, text, mode=stat.S_IMODE(config.stat().st_mode))
    except OSError as error:
        message = f"cannot write {config}: {error.strerror or error}"
        raise HomeError(message) from error


def _read_key(path: Path, purpose: KeyPurpose) -> SigningKey:
    text = read_text(path)
    check_private(path)
    try:
        return key_from_text(text, purpose)
    except BadKeyError as error:
        message = f"{path}: {error}; restore the right file from a backup"
        raise HomeError(message) from error


def _read_token(path: Path) -> str:
    token = read_text(path).strip()
    check_private(path)
    if not token or not token.isalnum() or not token.isascii():
        message = f"{path}: expected one line of letters and digits; write a new one, 64 long, and keep it private"
        raise HomeError(message)
    return token


def _read_secret(path: Path, *, is_expected: bool) -> NetworkSecret | None:
    """Read the network's secret. What the settings say must be there: a node never starts open by accident."""
    if not is_expected:
        if os.path.lexists(path):
            message = f"{path} is there, but {CONFIG_FILE} says has_secret = false: write true there, or move the file"
            raise HomeError(message)
        return None
    text = read_text(path)
    check_private(path)
    try:
        return NetworkSecret.from_file_text(text)
    except WireError as error:
        message = f"{path}: {error}; restore the file from a backup, or join again in another home"
        raise HomeError(message) from error


def _read_predecessors(path: Path, owner: SigningKey, network: str) -> tuple[Predecessor, ...]:
    if not os.path.lexists(path):
        return ()
    text = read_text(path)
    check_private(path)
    try:
        return predecessors_from_text(text, PublicKey(owner.public), network=network)
    except WireError as error:
        message = f"{path}: {error}; restore the file from a backup"
        raise HomeError(message) from error


def _read_work(path: Path) -> bytes:
    """Read the solution of the admission work; whether it is one for our network is checked when it is needed."""
    if not os.path.lexists(path):
        return b""
    try:
        return work_from_text(read_text(path))
    except WireError as error:
        message = f"{path}: {error}; remove the file, and 'p2pnode run' does the work again"
        raise HomeError(message) from error


def _take_lock(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        pid = os.pread(descriptor, SMALL_FILE_BYTES_MAX, 0).decode("ascii", "replace").strip() or "unknown"
        message = f"another daemon (pid {pid}) runs on {path}: stop it, or give this one another home"
        raise HomeInUseError(message) from error
    except OSError as error:
        message = f"cannot lock {path / LOCK_FILE}: {error.strerror}; the home must be on a file system with locks"
        raise HomeError(message) from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
