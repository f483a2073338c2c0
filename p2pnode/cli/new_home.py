"""What `init` and `join` share: the options of a new node, making its home, and telling about it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from crypto.keys import SigningKey
from crypto.peer_id import peer_id_of, peer_id_to_text
from p2pnode.cli.disk import disk_under
from p2pnode.cli.options import bytes_of
from p2pnode.cli.output import print_facts, print_json
from p2pnode.cli.solving import solve_for
from p2pnode.errors import CallerError, HomeError
from p2pnode.protocols.successions import Predecessor
from p2pnode.storage.home import Home, HomeSettings, create_home
from p2pnode.storage.quota import check_quota, default_quota
from p2pnode.system import SystemRng
from p2pnode.wording import human_bytes
from wire.network_secret import NetworkSecret

DEFAULTS = HomeSettings()

ListenOption = Annotated[list[str] | None, typer.Option(help="Where to listen, a multiaddr; may be repeated.")]
AnnounceOption = Annotated[list[str] | None, typer.Option(help="What to tell others instead; may be repeated.")]
QuotaOption = Annotated[
    str | None, typer.Option(help="Room for others' data, such as 100GB; a tenth of what is free unless given.")
]
DataDirOption = Annotated[
    list[str] | None, typer.Option(help="Where to keep data, one directory a disk; may be repeated; in the home else.")
]
DomainTagOption = Annotated[
    str | None, typer.Option(help="A name for your nodes that fail together; no blob then relies on several of them.")
]
ApiOption = Annotated[
    str | None, typer.Option(help=f"Where the local API listens, {DEFAULTS.api} unless given; port 0 takes a free one.")
]


def settings_of(  # noqa: PLR0913 - one parameter an option
    home: Path,
    *,
    network: str,
    profile: str,
    has_secret: bool,
    listen: list[str] | None,
    announce: list[str] | None,
    bootstrap: tuple[str, ...],
    data_dirs: list[str] | None,
    quota: str | None,
    api: str | None,
    domain_tag: str | None,
) -> HomeSettings:
    """Return the settings that the arguments of a command mean for a new home. Raises `CallerError`."""
    places = [Path(each).expanduser().absolute() for each in data_dirs or ()]
    quota_bytes = _quota_bytes(quota, places or [home])
    try:
        return HomeSettings(
            network=network,
            has_secret=has_secret,
            profile=profile,
            listen=tuple(listen or DEFAULTS.listen),
            announce=tuple(announce or ()),
            bootstrap=bootstrap,
            data_dirs=tuple(map(str, places)) or DEFAULTS.data_dirs,
            quota_bytes=quota_bytes,
            api=api or DEFAULTS.api,
            domain_tag=domain_tag or "",
        )
    except HomeError as error:  # Here they are arguments, not a file that was read.
        raise CallerError(str(error)) from error


def _quota_bytes(quota: str | None, places: Sequence[Path]) -> int:
    """Return what a new node offers. Raises `CallerError` for more than there is; nothing at all may be offered."""
    disk = disk_under(places)
    if quota is None:
        return default_quota(disk.free)
    quota_bytes = bytes_of(quota, option="--quota")
    if quota_bytes > 0:
        check_quota(quota_bytes, disk_bytes=disk.total)
    return quota_bytes


def make_home(
    path: Path,
    settings: HomeSettings,
    secret: NetworkSecret | None,
    *,
    says_so: bool,
    identity: SigningKey | None = None,
    owner: SigningKey | None = None,
    predecessors: tuple[Predecessor, ...] = (),
) -> Home:
    """Make the home, with new keys unless given, and the admission work that its network asks for.

    Raises `HomeError`.
    """

    def solve(identity: SigningKey) -> bytes:
        return solve_for(identity, settings, says_so=says_so)

    return create_home(
        path,
        settings=settings,
        rng=SystemRng(),
        secret=secret,
        solve=solve,
        identity=identity,
        owner=owner,
        predecessors=predecessors,
    )


def own_peer_id(home: Home) -> str:
    """Return the printed peer id of a home's node."""
    return peer_id_to_text(peer_id_of(home.identity.public))


def print_new_home(home: Home, *, next_step: str, as_json: bool, quiet: bool) -> None:
    """Tell who the new node is and what comes next."""
    settings = home.settings
    peer_id = own_peer_id(home)
    if as_json:
        print_json(
            {
                "peer_id": peer_id,
                "home": str(home.path),
                "network": settings.network,
                "profile": settings.profile,
                "has_secret": settings.has_secret,
            }
        )
    elif quiet:
        print(peer_id)
    else:
        with_secret = ", with a secret" if settings.has_secret else ""
        print_facts(
            [
                ("peer id", peer_id),
                ("home", str(home.path)),
                ("network", f"{settings.network}, profile {settings.profile}{with_secret}"),
                ("quota", human_bytes(settings.quota_bytes)),
                ("next", next_step),
            ]
        )
