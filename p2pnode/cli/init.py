"""Make a home for a new node: its keys and its settings."""

from __future__ import annotations

import enum
import re
from typing import Annotated

import typer

from crypto.peer_id import peer_id_of, peer_id_to_text
from p2pnode.cli.options import HOME_DEFAULT, HomeOption, JsonOption, QuietOption, new_app
from p2pnode.cli.output import human_bytes, print_facts, print_json, reporting
from p2pnode.errors import CallerError, HomeError
from p2pnode.storage.home import HomeSettings, create_home
from p2pnode.system import SystemRng

app = new_app()


class ProfileName(enum.StrEnum):
    """The profiles of `p2pnode.config`, spelled out for the help text."""

    PUBLIC = "public"
    HOME = "home"
    PRIVATE = "private"
    TESTNET = "testnet"


_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([kKMGTP]?)(i?)B?")
_DEFAULTS = HomeSettings()
_DEFAULT_PROFILE = ProfileName(_DEFAULTS.profile)


@app.command()
def init(  # noqa: PLR0913 - one parameter an option
    *,
    profile: Annotated[ProfileName, typer.Option(help="The set of parameters.")] = _DEFAULT_PROFILE,
    network: Annotated[str, typer.Option(help="The network's name.")] = _DEFAULTS.network,
    listen: Annotated[list[str] | None, typer.Option(help="Where to listen, a multiaddr; may be repeated.")] = None,
    announce: Annotated[list[str] | None, typer.Option(help="What to tell others instead; may be repeated.")] = None,
    bootstrap: Annotated[list[str] | None, typer.Option(help="A node to begin with; may be repeated.")] = None,
    quota: Annotated[str, typer.Option(help="Room for others' data, such as 100GB.")] = str(_DEFAULTS.quota_bytes),
    api: Annotated[str, typer.Option(help="Where the local API listens; port 0 takes a free one.")] = _DEFAULTS.api,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    home: HomeOption = HOME_DEFAULT,
) -> None:
    """Make a home for a new node. Nothing is ever overwritten."""
    with reporting(as_json=as_json):
        try:
            settings = HomeSettings(
                network=network,
                profile=profile.value,
                listen=tuple(listen or _DEFAULTS.listen),
                announce=tuple(announce or ()),
                bootstrap=tuple(bootstrap or ()),
                quota_bytes=_bytes_of(quota),
                api=api,
            )
        except HomeError as error:  # Here they are arguments, not a file that was read.
            raise CallerError(str(error)) from error
        path = home.expanduser()
        made = create_home(path, settings=settings, rng=SystemRng())
        peer_id = peer_id_to_text(peer_id_of(made.identity.public))
        if as_json:
            print_json(
                {"peer_id": peer_id, "home": str(path), "network": settings.network, "profile": settings.profile}
            )
        elif quiet:
            print(peer_id)
        else:
            print_facts(
                [
                    ("peer id", peer_id),
                    ("home", str(path)),
                    ("network", f"{settings.network}, profile {settings.profile}"),
                    ("quota", human_bytes(settings.quota_bytes)),
                    ("next", _next_step(settings)),
                ]
            )


def _next_step(settings: HomeSettings) -> str:
    if settings.bootstrap:
        return "start the node with: p2pnode run"
    return "start the node with: p2pnode run (with --bootstrap ADDRESS to join others; 'p2pnode id' prints theirs)"


def _bytes_of(text: str) -> int:
    """Read a size: a number with B, kB, MB, GB, TB, PB, or the binary KiB, MiB, and so on. Raises `CallerError`."""
    match = _SIZE.fullmatch(text.strip())
    if match is None or (match[3] and not match[2]):
        message = f"--quota {text!r}: expected a size such as 100GB or 50GiB"
        raise CallerError(message)
    power = " KMGTP".index(match[2].upper()) if match[2] else 0
    return int(float(match[1]) * (1024 if match[3] else 1000) ** power)


command = typer.main.get_command(app)
