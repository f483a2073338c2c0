"""The options that several commands share."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from p2pnode.errors import CallerError

HOME_DEFAULT = Path("~/.p2pnode")

HomeOption = Annotated[Path, typer.Option("--home", envvar="P2PNODE_HOME", help="The node's home.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print as little as possible.")]
ReferenceArgument = Annotated[str, typer.Argument(metavar="ID", help="What 'put' printed.", show_default=False)]

_SIZE = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?) ?([kKMGTP]?)(i?)B?")


_DURATION = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?) ?(s|min|m|h|d|w|y)")
_SECONDS = {"s": 1, "min": 60, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400, "y": 365 * 86_400}


def seconds_of(text: str, *, option: str) -> int:
    """Read a time span: a number with s, min, h, d, w or y. Raises `CallerError`."""
    match = _DURATION.fullmatch(text.strip())
    seconds = 0 if match is None else int(float(match[1]) * _SECONDS[match[2]])
    if seconds < 1:
        message = f"{option} {text!r}: expected a time such as 90d, 12h or 1y"
        raise CallerError(message)
    return seconds


def new_app() -> typer.Typer:
    """Return an app for one command."""
    return typer.Typer(add_completion=False, rich_markup_mode=None)


def bytes_of(text: str, *, option: str) -> int:
    """Read a size: a number with B, kB, MB, GB, TB, PB, or the binary KiB, MiB, and so on. Raises `CallerError`."""
    match = _SIZE.fullmatch(text.strip())
    if match is None or (match[3] and not match[2]):
        message = f"{option} {text!r}: expected a size such as 100GB or 50GiB"
        raise CallerError(message)
    power = " KMGTP".index(match[2].upper()) if match[2] else 0
    return int(float(match[1]) * (1024 if match[3] else 1000) ** power)
