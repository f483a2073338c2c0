"""List the members that this node knows."""

from __future__ import annotations

import dataclasses

import typer

from p2pnode.cli.daemon_client import daemon_of
from p2pnode.cli.options import HOME_DEFAULT, HomeOption, JsonOption, new_app
from p2pnode.cli.output import one_line, print_json, reporting
from p2pnode.cli.tables import Row, print_table
from p2pnode.reputation.score import Trust
from p2pnode.services.results import NodeInfo, PeerStatus
from p2pnode.wording import human_bytes, human_duration

app = new_app()

_TITLES = Row(("state", "connected", "last contact", "free of", "score", "audits"), ("peer", "addresses"))


@app.command()
def peers(*, as_json: JsonOption = False, home: HomeOption = HOME_DEFAULT) -> None:
    """List the members that this node knows, and count what it refused of peers.

    AUDITS counts the last audits of a peer by this node, and of this node by it, for which both have signed a receipt.
    """
    with reporting(as_json=as_json):
        daemon = daemon_of(home)
        report = daemon.peers()
        if as_json:
            print_json({"peers": [dataclasses.asdict(peer) for peer in report.peers], "refused": report.refused})
            return
        if report.peers:
            print_table(_TITLES, [_row(each) for each in report.peers])
        else:
            print("no other member is known yet")
        if report.refused:
            counts = ", ".join(f"{one_line(reason)} {count}" for reason, count in report.refused.items())
            print(f"refused since the start: {counts}")
        _print_notes(daemon.info())


def _print_notes(info: NodeInfo) -> None:
    """Say what else a person has to know to read the states."""
    if info.frozen:
        print("nearly all fell silent at once: this node's own link seems to be down, so nobody is lost for now")
    if info.restored:
        print("this node's disk was put back from an old copy: what is missing on it is told to the others as lost")


def _row(peer: PeerStatus) -> Row:
    contact = "never" if peer.seconds_since_contact is None else f"{human_duration(peer.seconds_since_contact)} ago"
    cells = (
        peer.state,
        "yes" if peer.connected else "no",
        contact,
        f"{human_bytes(peer.free_bytes)} of {human_bytes(peer.capacity_bytes)}",
        f"{peer.score:.2f}" if peer.trust == Trust.FULL else f"{peer.score:.2f}, {peer.trust}",
        f"{peer.receipts_of_it} of it, {peer.receipts_by_it} of us",
    )
    return Row(cells, (peer.peer_id, " ".join(peer.addresses)))


command = typer.main.get_command(app)
