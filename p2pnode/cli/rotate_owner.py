"""Put a new owner key in the place of the old one; or take over the one that has replaced it elsewhere."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from crypto.keys import SEED_BYTES, SigningKey
from p2pnode.cli.backup_file import read_backup
from p2pnode.cli.options import HOME_DEFAULT, HomeOption, JsonOption, QuietOption
from p2pnode.cli.output import print_facts, print_json, reporting
from p2pnode.cli.passphrase import PassphraseFileOption
from p2pnode.storage.home import Home, lock_home, open_home
from p2pnode.storage.owner_key import rotate_owner, take_over_owner
from p2pnode.system import SystemRng


def rotate(
    *,
    backup_file: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="BACKUP",
            help="Take over the key that has replaced this one on another machine, from a backup made there.",
            show_default=False,
        ),
    ] = None,
    passphrase_file: PassphraseFileOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    home: HomeOption = HOME_DEFAULT,
) -> None:
    """Put a new owner key in the place of the old one, which signs nothing any more. Stop the node before.

    At its next start the node tells those who keep your things, and renews all of them under the new key.
    """
    with reporting(as_json=as_json):
        path = home.expanduser()
        backup = None if backup_file is None else read_backup(backup_file, passphrase_file)
        open_home(path)  # Says what to do where there is no node: the lock would not.
        with lock_home(path):
            opened = open_home(path)
            if backup is None:
                new = SigningKey(SystemRng().random_bytes(SEED_BYTES))
                changed = rotate_owner(opened, new, time=int(time.time()))
            else:
                changed = take_over_owner(opened, backup.owner, backup.predecessors)
        _tell(opened, changed, as_json=as_json, quiet=quiet)


def _tell(before: Home, after: Home, *, as_json: bool, quiet: bool) -> None:
    old, new = before.owner.public.hex(), after.owner.public.hex()
    if as_json:
        print_json({"owner": new, "predecessor": old})
    elif not quiet:
        print_facts(
            [
                ("owner key", new),
                ("instead of", old),
                ("next", "p2pnode run: it tells the others, and renews what you stored under the new key"),
                ("then", "p2pnode id export FILE: earlier backups have the old key only"),
            ]
        )
