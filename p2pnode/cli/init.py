"""Make a home for a new node: its keys and its settings."""

from __future__ import annotations

import enum
from typing import Annotated

import typer

from p2pnode.cli.new_home import (
    DEFAULTS,
    AnnounceOption,
    ApiOption,
    DataDirOption,
    DomainTagOption,
    ListenOption,
    QuotaOption,
    make_home,
    print_new_home,
    settings_of,
)
from p2pnode.cli.options import HOME_DEFAULT, HomeOption, JsonOption, QuietOption, new_app
from p2pnode.cli.output import reporting
from p2pnode.storage.home import HomeSettings
from p2pnode.system import SystemRng
from wire.network_secret import SECRET_BYTES, NetworkSecret

app = new_app()


class ProfileName(enum.StrEnum):
    """The profiles of `p2pnode.config`, spelled out for the help text."""

    PUBLIC = "public"
    HOME = "home"
    PRIVATE = "private"
    TESTNET = "testnet"


_DEFAULT_PROFILE = ProfileName(DEFAULTS.profile)


@app.command()
def init(  # noqa: PLR0913 - one parameter an option
    *,
    profile: Annotated[ProfileName, typer.Option(help="The set of parameters.")] = _DEFAULT_PROFILE,
    network: Annotated[str, typer.Option(help="The network's name.")] = DEFAULTS.network,
    with_secret: Annotated[
        bool, typer.Option("--with-secret", help="Begin a network that only those join whom 'p2pnode invite' invites.")
    ] = False,
    listen: ListenOption = None,
    announce: AnnounceOption = None,
    bootstrap: Annotated[list[str] | None, typer.Option(help="A node to begin with; may be repeated.")] = None,
    data_dir: DataDirOption = None,
    quota: QuotaOption = None,
    api: ApiOption = None,
    domain_tag: DomainTagOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    home: HomeOption = HOME_DEFAULT,
) -> None:
    """Make a home for a new node. Nothing is ever overwritten."""
    with reporting(as_json=as_json):
        path = home.expanduser()
        settings = settings_of(
            path,
            network=network,
            profile=profile.value,
            has_secret=with_secret,
            listen=listen,
            announce=announce,
            bootstrap=tuple(bootstrap or ()),
            data_dirs=data_dir,
            quota=quota,
            api=api,
            domain_tag=domain_tag,
        )
        secret = NetworkSecret(SystemRng().random_bytes(SECRET_BYTES)) if with_secret else None
        made = make_home(path, settings, secret, says_so=not as_json and not quiet)
        print_new_home(made, next_step=_next_step(settings), as_json=as_json, quiet=quiet)


def _next_step(settings: HomeSettings) -> str:
    if settings.has_secret:
        return "start the node with: p2pnode run; then 'p2pnode invite' prints a code with which others join"
    if settings.bootstrap:
        return "start the node with: p2pnode run"
    return "start the node with: p2pnode run (with --bootstrap ADDRESS to join others; 'p2pnode id' prints theirs)"


command = typer.main.get_command(app)
