"""The files of a home, as a user or a failing disk may leave them: each opens, or is refused with `HomeError`."""

from __future__ import annotations

import random
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import p2pnode.storage.home
import p2pnode.storage.settings
from p2pnode.errors import HomeError
from p2pnode.storage.home import (
    CONFIG_FILE,
    DAEMON_FILE,
    IDENTITY_FILE,
    OWNER_FILE,
    SECRET_FILE,
    TOKEN_FILE,
    DaemonInfo,
    add_bootstrap,
    create_home,
    open_home,
    read_daemon_info,
    write_daemon_info,
)
from p2pnode.storage.settings import HomeSettings, settings_from_text, settings_to_text, with_bootstrap
from testnet.fuzz.target import MEMORY_PER_BYTE, Check, Mutate, Target, plain
from testnet.fuzz.targets.texts import ADDRESSES, FULL_ADDRESSES, bytes_of, edited_text
from testnet.sim.rng import SimRng
from wire.network_secret import NetworkSecret

_NAMES = (IDENTITY_FILE, OWNER_FILE, CONFIG_FILE, TOKEN_FILE, SECRET_FILE, DAEMON_FILE)
_TOML = (
    "[", "]", "[[a]]", "{", "}", "=", '"', "'''", '"""', "#", "\n", "\r", "inf", "nan", "true", "1e999", "-1", "0x",
    "9" * 5000, "0x" + "f" * 5000, "1979-05-27T07:32:00Z", "99:99:99", "\\u0000", "\\ud800", "[" * 3000, "a." * 3000,
    "bootstrap", "quota_bytes = ", "listen = ", "api = ", '"127.0.0.1:99999999999999"', "network = ",
    "has_secret = true",
)  # fmt: skip
"""What parsers of TOML have stumbled over: depth, long numbers, dates, escapes, repetitions."""

CheckHome = Callable[[Path, dict[str, bytes], bytes], object]
"""Told where the home is, what stood in its files, and the input."""

_HOME_FILES = 10_000
"""Inputs of a target that writes files: each costs a few hundred microseconds."""


def targets() -> list[Target]:
    """Return the targets of this file."""
    settings = HomeSettings(bootstrap=FULL_ADDRESSES[:2], announce=ADDRESSES[:1])
    config = [bytes_of(settings_to_text(settings)), b'network = "main"\nlisten = ["/ip4/0.0.0.0/tcp/4710"]\n']
    return [
        Target(
            name="home/config",
            open=plain(_settings),
            errors=(HomeError,),
            seeds=lambda _rng: config,
            modules=(p2pnode.storage.settings,),
            mutate=_edited_toml,
            framing=r"HomeError: here is not valid TOML",
            memory_per_byte=2 * MEMORY_PER_BYTE,  # It is read four times, and lines of it are kept apart.
        ),
        _files("home/open", _open, [settings_to_text(HomeSettings(has_secret=True)).encode()], _edited_file),
        _files("home/daemon-info", _daemon_info, _infos(), _edited_json),
    ]


def _settings(data: bytes) -> None:
    """Read the settings; writing them gives the same ones, and an address is added without any other change."""
    text = data.decode("utf-8", "replace")  # A file that is no text is refused before; `home/open` tries it.
    settings = settings_from_text(text, where="here")
    assert settings_from_text(settings_to_text(settings), where="there") == settings
    more = with_bootstrap(text, FULL_ADDRESSES[3:4], where="here")
    bootstrap = (*FULL_ADDRESSES[3:4], *settings.bootstrap)
    assert settings_from_text(more, where="there") == replace(settings, bootstrap=bootstrap)


def _edited_toml(rng: random.Random, data: bytes) -> bytes:
    """Change one line, exchange lines, or put something odd between them."""
    lines = data.split(b"\n")
    position = rng.randrange(len(lines))
    match rng.randrange(7):
        case 0:
            lines[position] = edited_text(rng, lines[position])
        case 1:
            lines.insert(position, rng.choice(_TOML).encode())
        case 2 | 3:
            lines[position] = rng.choice((b"", b"# nothing", b"relay = false", b'network = "a b"', b"listen = []"))
        case 4 | 5:
            name, _, value = lines[position].partition(b"= ")
            odd = rng.choice(_TOML).encode()
            lines[position] = name + b"= " + rng.choice((odd, b"[" + odd + b"]", value + odd, b'"' + odd + b'"'))
        case _:
            lines[position] = rng.choice(lines)
    return b"\n".join(lines)


def _files(name: str, check_home: CheckHome, seeds: list[bytes], mutate: Mutate) -> Target:
    """A target that works on one home in a temporary directory."""

    @asynccontextmanager
    async def open_target(_rng: random.Random) -> AsyncIterator[Check]:
        with tempfile.TemporaryDirectory(prefix="p2pnode-fuzz-") as directory:
            path = Path(directory) / "home"
            settings = HomeSettings(has_secret=True)
            create_home(path, settings=settings, rng=SimRng(random.Random(1)), secret=NetworkSecret(bytes(range(16))))
            whole = {each: (path / each).read_bytes() for each in _NAMES if (path / each).exists()}

            async def check(data: bytes) -> object:
                return check_home(path, whole, data)

            yield check

    return Target(
        name=name,
        open=open_target,
        errors=(HomeError,),
        seeds=lambda _rng: seeds,
        modules=(p2pnode.storage.home, p2pnode.storage.settings),
        mutate=mutate,
        inputs_max=_HOME_FILES,
    )


def _open(path: Path, whole: dict[str, bytes], data: bytes) -> None:
    """Put the input in place of one of the files, which its first byte picks, and open the home."""
    name = _NAMES[data[0] % (len(_NAMES) - 1)] if data else CONFIG_FILE
    (path / name).write_bytes(data[1:])
    try:
        home = open_home(path)
        assert home.settings.has_secret == (home.secret is not None)
        add_bootstrap(home, FULL_ADDRESSES[:1])
    finally:
        (path / name).write_bytes(whole[name])


def _edited_file(rng: random.Random, data: bytes) -> bytes:
    """Change what stands in one of the files."""
    if not data:
        return data
    choice = rng.randrange(len(_NAMES) - 1)
    texts = {
        0: b"p2pnode-key-v1 identity " + b"A" * 43 + b"=\n",
        1: b"p2pnode-key-v1 owner " + b"B" * 42 + b"A=\n",
        3: b"0123456789abcdef" * 4 + b"\n",
        4: NetworkSecret(bytes(16)).file_text().encode(),
    }
    change = _edited_toml if choice == _NAMES.index(CONFIG_FILE) else edited_text
    return bytes([choice]) + change(rng, texts.get(choice, data[1:]))


def _infos() -> list[bytes]:
    with tempfile.TemporaryDirectory(prefix="p2pnode-fuzz-") as directory:
        info = DaemonInfo(pid=7, peer_id="12D3KooW", addresses=ADDRESSES[:2], api="http://127.0.0.1:1", started=1.5)
        write_daemon_info(Path(directory), info)
        return [(Path(directory) / DAEMON_FILE).read_bytes()]


def _daemon_info(path: Path, _whole: dict[str, bytes], data: bytes) -> str:
    """Read what a daemon said of itself; whatever stands there, it is that or nothing."""
    (path / DAEMON_FILE).write_bytes(data)
    return "nobody" if read_daemon_info(path) is None else "somebody"


def _edited_json(rng: random.Random, data: bytes) -> bytes:
    """Put an odd value somewhere."""
    odd = (
        b"Infinity",
        b"NaN",
        b"-1",
        b"1e400",
        b"9" * 5000,
        b"[" * 5000,
        b"{",
        b"null",
        b'"\\ud800"',
        b"[]",
        b"{}",
        b"true",
    )
    if rng.random() < 0.5:  # noqa: PLR2004 - either
        return edited_text(rng, data)
    parts = data.split(b": ")
    position = rng.randrange(1, len(parts)) if len(parts) > 1 else 0
    rest = parts[position].partition(b", ")
    parts[position] = rng.choice(odd) + rest[1] + rest[2]
    return b": ".join(parts)
