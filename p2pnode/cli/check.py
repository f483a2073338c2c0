"""Check whether others can reach this node, and what to do if not."""

from __future__ import annotations

import dataclasses

import typer

from p2pnode.cli.daemon_client import daemon_of
from p2pnode.cli.options import HOME_DEFAULT, HomeOption, JsonOption, new_app
from p2pnode.cli.output import one_line, print_facts, print_json, reporting
from p2pnode.errors import ExitCode
from p2pnode.protocols.reach import Origin, Reach
from p2pnode.services.results import AddressReach, ReachReport

app = new_app()

_EXIT_CODES: dict[str, ExitCode] = {
    Reach.YES: ExitCode.OK,
    Reach.NO: ExitCode.NOT_REACHABLE,
    Reach.UNKNOWN: ExitCode.SILENT,
}

_ORIGINS = {
    "listened": "of this machine",
    "announced": "announced",
    "mapped": "opened by the router",
    "observed": "where peers see this node",
    "relayed": "through a relay",
}


@app.command()
def check(*, as_json: JsonOption = False, home: HomeOption = HOME_DEFAULT) -> None:
    """Ask peers to dial this node, and show what came of it."""
    with reporting(as_json=as_json):
        report = daemon_of(home).check_reach()
        if as_json:
            print_json(dataclasses.asdict(report))
        else:
            _print_for_a_person(report)
    code = _EXIT_CODES.get(report.reach, ExitCode.ERROR)
    if code:
        raise typer.Exit(code)


def _print_for_a_person(report: ReachReport) -> None:
    facts = [("this node", report.reach)]
    facts += [(_verdict(each), _line(each)) for each in report.addresses]
    asked = f"{report.peers_answered} of {report.peers_asked} answered"
    facts.append(("peers asked", asked if report.peers_asked else "none yet"))
    if any(each.origin == Origin.RELAYED for each in report.addresses):
        facts.append(("relays", "others reach this node through a relay: slower than directly, and at its expense"))
    if report.seen_at:
        facts.append(("seen at", ", ".join(map(one_line, report.seen_at))))
    facts.append(("port mapping", f"{report.port_mapping}: {one_line(report.port_mapping_detail)}"))
    if report.advice:
        facts.append(("what to do", one_line(report.advice)))
    print_facts(facts)


def _verdict(address: AddressReach) -> str:
    return f"  {address.reach}"


def _line(address: AddressReach) -> str:
    origin = _ORIGINS.get(address.origin, address.origin)
    told = f"{address.reached_by} of {address.tried_by} peers got through" if address.tried_by else "nobody could try"
    if address.origin == Origin.RELAYED:
        return f"{one_line(address.address)} ({origin})"
    return f"{one_line(address.address)} ({origin}): {told}"


command = typer.main.get_command(app)
