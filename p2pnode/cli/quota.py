"""Show how much room you offer, or change it, at once and for later starts."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from p2pnode.cli.daemon_client import DaemonClient, daemon_of
from p2pnode.cli.disk import disk_under
from p2pnode.cli.options import HOME_DEFAULT, HomeOption, JsonOption, QuietOption, bytes_of, new_app
from p2pnode.cli.output import print_facts, print_json, print_note, reporting
from p2pnode.cli.owner_client import change_quota
from p2pnode.cli.owner_client import quota as ask_for_quota
from p2pnode.errors import NoDaemonError
from p2pnode.services.owner_face import QuotaState
from p2pnode.storage.home import Home, open_home, write_quota
from p2pnode.storage.quota import check_quota
from p2pnode.wording import human_bytes

app = new_app()


@app.command()
def quota(
    size: Annotated[
        str | None, typer.Argument(metavar="[SIZE]", help="The new quota, such as 100GB.", show_default=False)
    ] = None,
    *,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    home: HomeOption = HOME_DEFAULT,
) -> None:
    """Show how much room you offer, or change it, at once and for later starts.

    Below what is used nothing leased is dropped: new slivers are refused until enough leases have run out.
    """
    with reporting(as_json=as_json):
        opened = open_home(home.expanduser())
        if size is not None:
            opened = _with_quota(opened, size)
        state = _told(opened, is_change=size is not None)
        if as_json:
            print_json(_for_programs(opened, state))
        elif not quiet:
            _print_for_a_person(opened, state, is_change=size is not None)


def _with_quota(home: Home, size: str) -> Home:
    """Write the new quota into the settings, which comes first: whatever stops now, the next start keeps it."""
    quota_bytes = bytes_of(size, option="quota")
    check_quota(quota_bytes, disk_bytes=disk_under(home.data_paths).total)
    write_quota(home, quota_bytes)
    return dataclasses.replace(home, settings=dataclasses.replace(home.settings, quota_bytes=quota_bytes))


def _told(home: Home, *, is_change: bool) -> QuotaState | None:
    """Ask the daemon, or tell it of the change; None when none runs."""
    try:
        daemon: DaemonClient = daemon_of(home.path)
        return change_quota(daemon, home.settings.quota_bytes) if is_change else ask_for_quota(daemon)
    except NoDaemonError:
        return None


def _for_programs(home: Home, state: QuotaState | None) -> dict[str, object]:
    """Return the figures; what only a running daemon knows is null without one."""
    if state is not None:
        return dataclasses.asdict(state) | {"is_running": True}
    settings = home.settings
    known = {
        "quota": settings.quota_bytes,
        "disk_free": disk_under(home.data_paths).free,
        "disk_free_min": settings.disk_free_min_bytes,
    }
    return known | {"used": None, "trash": None, "room": None, "is_running": False}


def _print_for_a_person(home: Home, state: QuotaState | None, *, is_change: bool) -> None:
    if state is None:
        print_facts(
            [
                ("quota", human_bytes(home.settings.quota_bytes)),
                ("disk free", _disk_line(disk_under(home.data_paths).free, home.settings.disk_free_min_bytes)),
            ]
        )
        print_note("no daemon runs: " + ("the next start uses this" if is_change else "what is used is not known"))
        return
    trash = f", {human_bytes(state.trash)} of it in the trash" if state.trash else ""
    print_facts(
        [
            ("quota", human_bytes(state.quota)),
            ("used", f"{human_bytes(state.used)} ({100 * state.used // max(1, state.quota)} %){trash}"),
            ("room", f"{human_bytes(state.room)} for more"),
            ("disk free", _disk_line(state.disk_free, state.disk_free_min)),
        ]
    )
    note = _note_on(state)
    if note:
        print_note(note)


def _disk_line(free_bytes: int, free_min_bytes: int) -> str:
    return f"{human_bytes(free_bytes)}, {human_bytes(free_min_bytes)} of it stay free"


def _note_on(state: QuotaState) -> str:
    """Return what somebody should know who reads these figures; empty for nothing."""
    if state.used > state.quota:
        trash = "; 'p2pnode trash empty' frees the trash now" if state.trash else ""
        over = f"{human_bytes(state.used - state.quota)} more are used than offered"
        return f"{over}: nothing leased is dropped, new slivers are refused until enough leases have run out{trash}"
    left = state.quota - state.used
    if state.room < left:
        return (
            f"the disk has room for {human_bytes(state.room)} only, the quota for {human_bytes(left)}: free some space"
        )
    return ""


command = typer.main.get_command(app)
