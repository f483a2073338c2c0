"""Join the network of an invitation: make a home for a new node, or add the addresses to one that is in it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from p2pnode.cli.new_home import (
    AnnounceOption,
    ApiOption,
    DataDirOption,
    DomainTagOption,
    ListenOption,
    QuotaOption,
    make_home,
    own_peer_id,
    print_new_home,
    settings_of,
)
from p2pnode.cli.options import HOME_DEFAULT, HomeOption, JsonOption, QuietOption, new_app
from p2pnode.cli.output import print_facts, print_json, reporting
from p2pnode.config import PROFILES
from p2pnode.errors import CallerError, HomeError
from p2pnode.storage.home import Home, add_bootstrap, is_home, open_home, read_daemon_info
from wire import limits
from wire.errors import WireError
from wire.invitations import Invitation
from wire.protocol_ids import NetworkNames

app = new_app()

CodeArgument = Annotated[
    str,
    typer.Argument(
        metavar="CODE",
        help="What 'p2pnode invite' printed; '-' reads it from standard input, so that no shell history keeps it.",
        show_default=False,
    ),
]


@app.command()
def join(  # noqa: PLR0913 - one parameter an option
    code: CodeArgument,
    *,
    listen: ListenOption = None,
    announce: AnnounceOption = None,
    data_dir: DataDirOption = None,
    quota: QuotaOption = None,
    api: ApiOption = None,
    domain_tag: DomainTagOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    home: HomeOption = HOME_DEFAULT,
) -> None:
    """Make a home for a new node in the network of an invitation. Nothing is ever overwritten."""
    with reporting(as_json=as_json):
        invitation = _read_invitation(code)
        path = home.expanduser()
        if is_home(path):
            if any(option is not None for option in (listen, announce, data_dir, quota, api, domain_tag)):
                message = f"{path} has a node already: leave out the options, or choose another directory with --home"
                raise CallerError(message)
            _add_to(open_home(path), invitation, as_json=as_json, quiet=quiet)
            return
        settings = settings_of(
            path,
            network=invitation.network,
            profile=invitation.profile,
            has_secret=invitation.secret is not None,
            listen=listen,
            announce=announce,
            bootstrap=invitation.bootstrap(),
            data_dirs=data_dir,
            quota=quota,
            api=api,
            domain_tag=domain_tag,
        )
        made = make_home(path, settings, invitation.secret, says_so=not as_json and not quiet)
        next_step = f"start the node with: {_run_command(path)}; 'p2pnode peers' then shows the others"
        print_new_home(made, next_step=next_step, as_json=as_json, quiet=quiet)


def _read_invitation(code: str) -> Invitation:
    """Read the code and see that this version can be a member. Raises `CallerError`."""
    # White space comes from mail programs that wrap lines, capitals from telephones.
    try:
        text = sys.stdin.read(2 * limits.INVITATION_CHARS_MAX) if code == "-" else code
        invitation = Invitation.parse("".join(text.split()).lower())
        profile = PROFILES.get(invitation.profile)
        names = None if profile is None else NetworkNames(invitation.network, profile.shared())
    except (WireError, UnicodeDecodeError) as error:
        raise CallerError(str(error)) from error
    if names is None or bytes.fromhex(names.parameter_hash) != invitation.parameter_hash:
        message = (
            f"network {invitation.network} (profile {invitation.profile}) has other shared parameters than this"
            " version of p2pnode: install the version that its members use"
        )
        raise CallerError(message)
    return invitation


def _add_to(home: Home, invitation: Invitation, *, as_json: bool, quiet: bool) -> None:
    """Add the addresses to a home of the same network. Raises `HomeError` for one of another."""
    _check_same_network(home, invitation)
    own = own_peer_id(home)
    others = [address for address in invitation.bootstrap() if not address.endswith(f"/p2p/{own}")]
    added = add_bootstrap(home, others)
    network = home.settings.network
    if as_json:
        print_json({"peer_id": own, "home": str(home.path), "network": network, "added": list(added)})
    elif quiet:
        print(own)
    elif not added:
        print(f"{home.path} is in network {network} already and knows these addresses: nothing to add")
    else:
        verb = "restart" if read_daemon_info(home.path) is not None else "start"
        print_facts(
            [
                ("home", f"{home.path} is in network {network} already"),
                *(("added", address) for address in added),
                ("next", f"{verb} the node with: {_run_command(home.path)}"),
            ]
        )


def _check_same_network(home: Home, invitation: Invitation) -> None:
    settings = home.settings
    if (settings.network, settings.profile) != (invitation.network, invitation.profile):
        what = (
            f"network {settings.network} with profile {settings.profile}, the invitation is for network"
            f" {invitation.network} with profile {invitation.profile}"
        )
    elif home.secret != invitation.secret:
        what = f"a network {settings.network} with another secret, or without one"
    else:
        return
    message = f"{home.path} is a node of {what}: choose another directory with --home"
    raise HomeError(message)


def _run_command(path: Path) -> str:
    """Return what starts the node: a home that is not the usual one is named."""
    return "p2pnode run" if path == HOME_DEFAULT.expanduser() else f"p2pnode run --home {path}"


command = typer.main.get_command(app)
