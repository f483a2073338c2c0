"""A home's settings: what stands in `config.toml`, read with `tomllib` and written by us, comments included."""

from __future__ import annotations

import dataclasses
import json
import re
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from p2pnode.config import LIMIT_BYTES_PER_S_MIN, PROFILES
from p2pnode.errors import HomeError
from wire import limits

QUOTA_BYTES_DEFAULT = 10 * 1024 * limits.MIB
"""What a new node offers unless told otherwise: 10 GiB are noticed on no disk of today."""

DISK_FREE_MIN_BYTES_DEFAULT = 1024 * limits.MIB
"""What other programs need to go on when a quota is larger than its disk: systems stumble below about a gigabyte."""

PORT_MAX = 65_535

HOURS = 24

DATA_DIRS_MAX = 32
"""Data directories of one node: each is asked for each pair, and a machine has fewer disks."""

_SHOWN_CHARS_MAX = 200
"""More of a wrong value helps nobody to find it."""

_NETWORK_NAME = re.compile(r"[A-Za-z0-9.-]+")
_HOST_AND_PORT = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):(?P<port>[0-9]{1,5})")

_HOURS = re.compile(r"([0-9]{1,2})-([0-9]{1,2})")

_BOOTSTRAP_START = re.compile(r"^[ \t]*[\"']?bootstrap[\"']?[ \t]*=[ \t]*\[", re.MULTILINE)

_QUOTA_LINE = re.compile(r"^[ \t]*[\"']?quota_bytes[\"']?[ \t]*=[ \t]*([0-9a-fA-FxXob_+-]+)", re.MULTILINE)

_DATA_DIRS = re.compile(r"^[ \t]*[\"']?data_dirs[\"']?[ \t]*=[ \t]*\[[^\]]*\]", re.MULTILINE)

_COMMENTS = {
    "network": "The network's name. Nodes with other names do not talk to each other.",
    "has_secret": "Whether all members share a secret; it is in the file network-secret, never here.",
    "profile": f"The set of parameters: one of {', '.join(PROFILES)}. All members of a network use the same.",
    "listen": "Addresses to listen on, as multiaddrs.",
    "announce": "Addresses to tell to others instead of those found (behind a router, say).",
    "bootstrap": "Addresses of nodes to begin with, each with /p2p/<peer id> at its end.",
    "data_dirs": "Where the data lies, one directory a disk, from this directory on; the first keeps the index too.",
    "quota_bytes": "How many bytes this node's data may take on its disks together.",
    "disk_free_min_bytes": "How many bytes stay free on the disk: nothing new is accepted below that.",
    "lan_discovery": "Whether to look for nodes of this network on the local network (mDNS), and be found there.",
    "port_mapping": "Whether to ask the router (UPnP, NAT-PMP) to open the port for this node.",
    "domain_tag": "A name for your nodes that fail together, such as those in one house; empty for none.",
    "relay": "Whether to pass on sealed bytes for nodes that nobody can dial, 4 MiB/s at most.",
    "repair": "Whether to rebuild pairs that others have lost; symbols are given to those who do in any case.",
    "api": "Where the local HTTP API listens, host:port; port 0 takes a free one.",
    "limit_up_bytes_per_s": "How many bytes a second this node sends to others at most; 0 for no limit.",
    "limit_down_bytes_per_s": "How many it takes from others at most; 0 for no limit.",
    "limit_hours": "When these limits hold, by local time: 8-18 for the day, 22-6 over midnight; empty for always.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeSettings:
    """The settings of one node. Raises `HomeError` that names the setting when one makes no sense."""

    network: str = "main"
    has_secret: bool = False
    """Said here too, so that a node whose secret file was lost does not start open to strangers."""
    profile: str = "home"
    listen: tuple[str, ...] = ("/ip4/0.0.0.0/tcp/4710",)
    announce: tuple[str, ...] = ()
    bootstrap: tuple[str, ...] = ()
    data_dirs: tuple[str, ...] = ("data",)
    quota_bytes: int = QUOTA_BYTES_DEFAULT
    disk_free_min_bytes: int = DISK_FREE_MIN_BYTES_DEFAULT
    lan_discovery: bool = True
    port_mapping: bool = True
    domain_tag: str = ""
    relay: bool = True
    repair: bool = True
    api: str = "127.0.0.1:0"
    limit_up_bytes_per_s: int = 0
    limit_down_bytes_per_s: int = 0
    limit_hours: str = ""

    def __post_init__(self) -> None:
        """Check every setting."""
        check_network_name(self.network)
        if self.profile not in PROFILES:
            message = f"profile = {self.profile!r}: expected one of {', '.join(PROFILES)}"
            raise HomeError(message)
        if not self.listen:
            message = "listen = []: expected at least one multiaddr such as /ip4/0.0.0.0/tcp/4710"
            raise HomeError(message)
        for name in ("listen", "announce", "bootstrap"):
            _check_addresses(name, getattr(self, name))
        _check_data_dirs(self.data_dirs)
        for name in ("quota_bytes", "disk_free_min_bytes"):
            value = getattr(self, name)
            if not 0 <= value < 1 << 63:
                message = f"{name} = {_shown(value)}: expected 0 or a positive number of bytes"
                raise HomeError(message)
        if len(self.domain_tag) > limits.DOMAIN_TAG_CHARS_MAX or not self.domain_tag.isprintable():
            message = (
                f"domain_tag = {_shown(self.domain_tag)}: expected at most {limits.DOMAIN_TAG_CHARS_MAX} characters"
            )
            raise HomeError(message)
        for name in ("limit_up_bytes_per_s", "limit_down_bytes_per_s"):
            limit = getattr(self, name)
            if limit != 0 and not LIMIT_BYTES_PER_S_MIN <= limit < 1 << 63:
                message = f"{name} = {_shown(limit)}: expected 0 for no limit, or at least {LIMIT_BYTES_PER_S_MIN}"
                raise HomeError(message)
        hours_of(self.limit_hours)
        match = _HOST_AND_PORT.fullmatch(self.api)
        if match is None or int(match["port"]) > PORT_MAX:
            message = f"api = {self.api!r}: expected host:port such as 127.0.0.1:0"
            raise HomeError(message)


def hours_of(text: str) -> tuple[int, int]:
    """Return the first hour of a span, and the first after it. Raises `HomeError`."""
    match = _HOURS.fullmatch(text)
    if not text:
        return 0, HOURS
    if match is None or int(match[1]) >= HOURS or int(match[2]) > HOURS:
        message = f"limit_hours = {_shown(text)}: expected two hours such as 8-18 or 22-6, or nothing"
        raise HomeError(message)
    return int(match[1]), int(match[2])


def check_network_name(name: str) -> None:
    """Raise `HomeError` unless this may be a network's name: it stands in protocol ids and in every signed body."""
    if len(name) > limits.NETWORK_NAME_CHARS_MAX or _NETWORK_NAME.fullmatch(name) is None:
        message = f"network = {name!r}: expected 1 to {limits.NETWORK_NAME_CHARS_MAX} letters (a-z), digits, '-' or '.'"
        raise HomeError(message)


def settings_to_text(settings: HomeSettings) -> str:
    """Return the text of `config.toml`, each setting with a comment."""
    lines = []
    for field in dataclasses.fields(settings):
        lines += [f"# {_COMMENTS[field.name]}", f"{field.name} = {_toml(getattr(settings, field.name))}", ""]
    return "\n".join(lines)


def settings_from_text(text: str, *, where: str) -> HomeSettings:
    """Read the text of a config file; a setting that is not there has its default.

    Raises `HomeError` that says `where`, the line, and what was expected.
    """
    try:
        values = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # It lets out more than its own: long numbers, many brackets.
        message = f"{where} is not valid TOML: {error}; mend that line"
        raise HomeError(message) from error
    checked: dict[str, Any] = {}  # Each value has the type that its reader made sure of.
    for name, value in values.items():
        reader = _READERS.get(name)
        if reader is None:
            message = f"{_place(where, text, name)}: unknown setting {name!r}; known are {', '.join(_READERS)}"
            raise HomeError(message)
        try:
            checked[name] = reader(value)
        except TypeError as error:
            message = f"{_place(where, text, name)}: {name} = {_shown(value)}: expected {error}"
            raise HomeError(message) from error
    try:
        return HomeSettings(**checked)
    except HomeError as error:
        name = str(error).split(" ", 1)[0]
        message = f"{_place(where, text, name)}: {error}"
        raise HomeError(message) from error


def with_bootstrap(text: str, addresses: Sequence[str], *, where: str) -> str:
    """Return the text of a config file with these addresses first in `bootstrap`; every other character stays.

    Raises `HomeError` when the file is written so unusually that this cannot be done by adding to it.
    """
    before = settings_from_text(text, where=where)
    wanted = dataclasses.replace(before, bootstrap=(*addresses, *before.bootstrap))
    added = ", ".join(_toml(address) for address in addresses)
    match = _BOOTSTRAP_START.search(text)
    if match is None:
        new = f"{text.rstrip()}\n\n# {_COMMENTS['bootstrap']}\nbootstrap = [{added}]\n"
    else:
        separator = ", " if before.bootstrap else ""
        new = text[: match.end()] + added + separator + text[match.end() :]
    if not _says(new, wanted):
        message = f"{_place(where, text, 'bootstrap')}: cannot add to bootstrap here; add these by hand: {added}"
        raise HomeError(message)
    return new


def with_quota(text: str, quota_bytes: int, *, where: str) -> str:
    """Return the text of a config file with this quota; every other character stays. Raises `HomeError` as above."""
    wanted = dataclasses.replace(settings_from_text(text, where=where), quota_bytes=quota_bytes)
    match = _QUOTA_LINE.search(text)
    if match is None:
        new = f"{text.rstrip()}\n\n# {_COMMENTS['quota_bytes']}\nquota_bytes = {quota_bytes}\n"
    else:
        new = f"{text[: match.start(1)]}{quota_bytes}{text[match.end(1) :]}"
    if not _says(new, wanted):
        message = f"{_place(where, text, 'quota_bytes')}: cannot change it here; write by hand: {quota_bytes}"
        raise HomeError(message)
    return new


def with_data_dirs(text: str, data_dirs: Sequence[str], *, where: str) -> str:
    """Return the text of a config file with these data directories; every other character stays.

    Raises `HomeError` when the file is written so unusually that this cannot be done.
    """
    wanted = dataclasses.replace(settings_from_text(text, where=where), data_dirs=tuple(data_dirs))
    line = f"data_dirs = {_toml(wanted.data_dirs)}"
    new, count = _DATA_DIRS.subn(lambda _: line, text, count=1)
    if not count:
        new = f"{text.rstrip()}\n\n# {_COMMENTS['data_dirs']}\n{line}\n"
    if not _says(new, wanted):
        message = f"{_place(where, text, 'data_dirs')}: cannot change data_dirs here; write by hand: {line}"
        raise HomeError(message)
    return new


def _says(text: str, wanted: HomeSettings) -> bool:
    """Tell whether a config file means these settings."""
    try:
        return settings_from_text(text, where="") == wanted
    except HomeError:
        return False


def _check_data_dirs(data_dirs: tuple[str, ...]) -> None:
    if not 1 <= len(data_dirs) <= DATA_DIRS_MAX:
        message = f"data_dirs = {_shown(list(data_dirs))}: expected 1 to {DATA_DIRS_MAX} directories"
        raise HomeError(message)
    for each in data_dirs:
        if not each or not each.isprintable():
            message = f"data_dirs = {_shown(each)}: expected the path of a directory"
            raise HomeError(message)


def _check_addresses(name: str, addresses: tuple[str, ...]) -> None:
    for address in addresses:
        if not address.startswith("/") or not address.isprintable() or len(address) > limits.ADDRESS_CHARS_MAX:
            message = f"{name} = {address!r}: expected a multiaddr such as /ip4/192.0.2.7/tcp/4710"
            raise HomeError(message)


def _toml(value: object) -> str:
    """Return a value in TOML; JSON strings are TOML strings as long as the text is printable, which was checked."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return str(value)


def _shown(value: object) -> str:
    """Return a value as an error shows it; Python refuses to write a number of thousands of digits in decimal."""
    try:
        text = repr(value)
    except ValueError:
        return "a number of thousands of digits"
    return text if len(text) <= _SHOWN_CHARS_MAX else f"{text[:_SHOWN_CHARS_MAX]}.."


def _place(where: str, text: str, name: str) -> str:
    """Return the file and the line of a setting."""
    for number, line in enumerate(text.splitlines(), start=1):
        if re.match(rf"\s*\[*\s*[\"']?{re.escape(name)}[\"']?\s*[=.\]]", line):
            return f"{where}, line {number}"
    return where


def _text(value: object) -> str:
    if type(value) is not str:
        message = "a text in quotes"
        raise TypeError(message)
    return value


def _texts(value: object) -> tuple[str, ...]:
    if type(value) is not list or any(type(item) is not str for item in value):
        message = "a list of texts in quotes"
        raise TypeError(message)
    return tuple(value)


def _number(value: object) -> int:
    if type(value) is not int:
        message = "a whole number"
        raise TypeError(message)
    return value


def _yes_or_no(value: object) -> bool:
    if type(value) is not bool:
        message = "true or false"
        raise TypeError(message)
    return value


_READERS: dict[str, Callable[[object], object]] = {
    "network": _text,
    "has_secret": _yes_or_no,
    "profile": _text,
    "listen": _texts,
    "announce": _texts,
    "bootstrap": _texts,
    "data_dirs": _texts,
    "quota_bytes": _number,
    "disk_free_min_bytes": _number,
    "lan_discovery": _yes_or_no,
    "port_mapping": _yes_or_no,
    "domain_tag": _text,
    "relay": _yes_or_no,
    "repair": _yes_or_no,
    "api": _text,
    "limit_up_bytes_per_s": _number,
    "limit_down_bytes_per_s": _number,
    "limit_hours": _text,
}
