"""Show on one screen how your node is doing, and what to do."""

from __future__ import annotations

import dataclasses

import typer

from p2pnode.cli.daemon_client import daemon_of
from p2pnode.cli.options import HOME_DEFAULT, HomeOption, JsonOption, new_app
from p2pnode.cli.output import one_line, print_facts, print_json, reporting
from p2pnode.cli.owner_client import scrub
from p2pnode.cli.owner_client import status as ask_for_status
from p2pnode.cli.repair import summary
from p2pnode.services.owner_face import NodeStatus, ScrubState, Traffic
from p2pnode.services.results import RepairReport
from p2pnode.wording import counted, human_bytes, human_date, human_duration

app = new_app()

_REACH = {
    "reachable": "others can dial it",
    "not reachable": "others cannot dial it",
    "unknown": "not known yet whether others can dial it",
}


@app.command()
def status(*, as_json: JsonOption = False, home: HomeOption = HOME_DEFAULT) -> None:
    """Show on one screen how your node is doing, and what to do."""
    with reporting(as_json=as_json):
        daemon = daemon_of(home)
        found, repairs, walk = ask_for_status(daemon), daemon.repairs(), scrub(daemon)
        if as_json:
            parts = {"repair": dataclasses.asdict(repairs), "scrub": dataclasses.asdict(walk)}
            print_json(dataclasses.asdict(found) | parts)
        else:
            _print_for_a_person(found, repairs, walk)


def _print_for_a_person(found: NodeStatus, repairs: RepairReport, walk: ScrubState) -> None:
    space, stored = found.space, found.stored
    share = f" ({100 * space.used // space.quota} %)" if space.quota else ""
    trash = f", {human_bytes(space.trash)} of it in the trash" if space.trash else ""
    print_facts(
        [
            ("node", f"runs for {human_duration(found.uptime_s)}, {_REACH.get(found.reach, found.reach)}"),
            ("network", f"{found.network}: {found.members} other members, {found.connected} connected"),
            ("offers", f"{human_bytes(space.used)} of {human_bytes(space.quota)} used{share}{trash}"),
            ("disk", f"{human_bytes(space.disk_free)} free"),
            ("traffic", _traffic_line(found.traffic)),
            ("you stored", _stored_line(found)),
            ("repair", summary(repairs)),
            ("scrub", _scrub_line(walk)),
        ]
    )
    if stored.untold_removals:
        print(f"removals that wait for holders that are away: {stored.untold_removals}")
    print()
    if not found.warnings:
        print("all is well")
    for each in found.warnings:
        print(f"! {one_line(each.message)}")
        print(f"  {one_line(each.advice)}")


def _scrub_line(walk: ScrubState) -> str:
    """Return when all that is kept was last looked at, and what was found."""
    found = f"{counted(walk.pairs, 'pair')} looked at, {walk.lost or 'none'} of them damaged"
    if walk.walks:
        return f"under way, {found}"
    if walk.finished_at is None:
        return f"the first one begins {human_date(walk.next_at or 0)}"
    return f"finished {human_date(walk.finished_at)}, {found}"


def _traffic_line(traffic: Traffic) -> str:
    limits = [
        f"{way} {human_bytes(limit)}/s"
        for way, limit in (("up", traffic.limit_up), ("down", traffic.limit_down))
        if limit is not None
    ]
    now = f"; at most {', '.join(limits)} now" if limits else ""
    return f"{human_bytes(traffic.up)} sent, {human_bytes(traffic.down)} received{now}"


def _stored_line(found: NodeStatus) -> str:
    stored = found.stored
    if not stored.things:
        return "nothing yet; 'p2pnode put FILE' stores something"
    sick = stored.weak + stored.ended
    health = "all healthy" if not sick else f"{sick} in trouble"
    return f"{counted(stored.things, 'thing')}, {human_bytes(stored.size)}, {health}; 'p2pnode ls' lists them"


command = typer.main.get_command(app)
