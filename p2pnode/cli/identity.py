"""Print this node's peer id and addresses; back its keys up, restore them, rotate the owner key."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crypto.peer_id import peer_id_of, peer_id_to_text
from crypto.sealing import NONCE_BYTES, SALT_BYTES
from p2pnode.cli import rotate_owner
from p2pnode.cli.backup_file import read_backup, write_backup
from p2pnode.cli.daemon_client import daemon_of
from p2pnode.cli.new_home import DEFAULTS, ListenOption, QuotaOption, make_home, print_new_home, settings_of
from p2pnode.cli.options import HOME_DEFAULT, HomeOption, JsonOption, QuietOption
from p2pnode.cli.output import print_facts, print_json, print_note, reporting
from p2pnode.cli.passphrase import PassphraseFileOption, passphrase_of
from p2pnode.errors import NoDaemonError
from p2pnode.protocols.backup import Backup, BadBackupError, seal_backup
from p2pnode.storage.home import open_home
from p2pnode.system import SystemRng
from wire.errors import WireError
from wire.network_secret import NetworkSecret

app = typer.Typer(add_completion=False, rich_markup_mode=None)

BOOTSTRAP_KEPT_MAX = 8
"""Members whose addresses a backup carries: one that is still there is enough."""

BackupArgument = Annotated[Path, typer.Argument(metavar="FILE", help="The backup.", show_default=False)]


@app.callback(invoke_without_command=True)
def identity(context: typer.Context, *, as_json: JsonOption = False, home: HomeOption = HOME_DEFAULT) -> None:
    """Print this node's peer id and, when it runs, the addresses to hand to others; back its keys up."""
    if context.invoked_subcommand is not None:
        return
    with reporting(as_json=as_json):
        path = home.expanduser()
        peer_id = peer_id_to_text(peer_id_of(open_home(path).identity.public))
        running = True
        addresses: list[str] = []
        try:
            addresses = [_with_peer_id(address, peer_id) for address in daemon_of(path).info().addresses]
        except NoDaemonError:
            running = False
        if as_json:
            print_json({"peer_id": peer_id, "home": str(path), "running": running, "addresses": addresses})
            return
        print(peer_id)
        for address in addresses:
            print(address)
        if not running:
            print_note("the daemon does not run: 'p2pnode run' starts it, and then its addresses are shown here")


@app.command(name="export")
def export_keys(
    file: BackupArgument,
    *,
    passphrase_file: PassphraseFileOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    home: HomeOption = HOME_DEFAULT,
) -> None:
    """Write a backup of the node's keys, sealed with a passphrase. An existing file is never overwritten."""
    with reporting(as_json=as_json):
        opened = open_home(home.expanduser())
        rng, settings = SystemRng(), opened.settings
        running = _addresses_if_running(home)
        backup = Backup(
            identity=opened.identity,
            owner=opened.owner,
            predecessors=opened.predecessors,
            network=settings.network,
            profile=settings.profile,
            bootstrap=tuple(dict.fromkeys([*settings.bootstrap, *running])),
            secret=None if opened.secret is None else opened.secret.file_text(),
        )
        passphrase = passphrase_of(passphrase_file, is_new=True)
        salt, nonce = rng.random_bytes(SALT_BYTES), rng.random_bytes(NONCE_BYTES)
        write_backup(file, seal_backup(backup, passphrase, salt=salt, nonce=nonce))
        if as_json:
            print_json({"file": str(file), "contains": _contents(backup)})
        elif not quiet:
            print_facts(
                [
                    ("backup", str(file)),
                    ("contains", ", ".join(_contents(backup))),
                    ("keep it", "where it survives this machine; without the passphrase nobody opens it, you neither"),
                    ("restore", f"p2pnode id import {file}"),
                ]
            )


@app.command(name="import")
def import_keys(  # noqa: PLR0913 - one parameter an option
    file: BackupArgument,
    *,
    same_identity: Annotated[
        bool,
        typer.Option(
            "--same-identity",
            help="Be the same node too; only when the old machine is gone and its data directory comes here.",
        ),
    ] = False,
    bootstrap: Annotated[
        list[str] | None, typer.Option(help="A node to begin with, besides those in the backup; may be repeated.")
    ] = None,
    listen: ListenOption = None,
    quota: QuotaOption = None,
    passphrase_file: PassphraseFileOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    home: HomeOption = HOME_DEFAULT,
) -> None:
    """Make a home from a backup: what its owner stored is listed, read and renewed here. Nothing is overwritten.

    The node gets a new identity, because an identity must never run twice.
    """
    with reporting(as_json=as_json):
        backup = read_backup(file, passphrase_file)
        path = home.expanduser()
        settings = settings_of(
            path,
            network=backup.network,
            profile=backup.profile,
            has_secret=backup.secret is not None,
            listen=listen,
            announce=None,
            domain_tag=None,
            bootstrap=tuple(dict.fromkeys([*(bootstrap or ()), *backup.bootstrap])),
            data_dirs=None,
            quota=quota,
            api=DEFAULTS.api,
        )
        made = make_home(
            path,
            settings,
            _secret_of(backup),
            says_so=not quiet and not as_json,
            owner=backup.owner,
            predecessors=backup.predecessors,
            identity=backup.identity if same_identity else None,
        )
        next_step = "start the node with: p2pnode run; then 'p2pnode ls' lists what you stored"
        print_new_home(made, next_step=next_step, as_json=as_json, quiet=quiet)


def _addresses_if_running(home: Path) -> list[str]:
    """Return addresses of other members, so that the backup finds the network again; none without the daemon."""
    try:
        peers = daemon_of(home.expanduser()).peers().peers
    except NoDaemonError:
        return []
    known = [f"{each.addresses[0]}/p2p/{each.peer_id}" for each in peers if each.connected and each.addresses]
    return known[:BOOTSTRAP_KEPT_MAX]


def _contents(backup: Backup) -> list[str]:
    secret = [] if backup.secret is None else ["the network's secret"]
    members = len(backup.bootstrap)
    return ["identity key", "owner key", f"network {backup.network}", *secret, f"addresses of {members} members"]


def _secret_of(backup: Backup) -> NetworkSecret | None:
    try:
        return None if backup.secret is None else NetworkSecret.from_file_text(backup.secret)
    except WireError as error:
        message = f"the network's secret in the backup is damaged: {error}"
        raise BadBackupError(message) from error


def _with_peer_id(address: str, peer_id: str) -> str:
    suffix = f"/p2p/{peer_id}"
    return address if address.endswith(suffix) else address + suffix


app.command(name="rotate-owner")(rotate_owner.rotate)

command = typer.main.get_command(app)
