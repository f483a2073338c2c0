"""Print this node's peer id, and its addresses when it runs."""

from __future__ import annotations

import typer

from crypto.peer_id import peer_id_of, peer_id_to_text
from p2pnode.cli.daemon_client import daemon_of
from p2pnode.cli.options import HOME_DEFAULT, HomeOption, JsonOption, new_app
from p2pnode.cli.output import print_json, print_note, reporting
from p2pnode.errors import NoDaemonError
from p2pnode.storage.home import open_home

app = new_app()


@app.command(name="id")
def identity(*, as_json: JsonOption = False, home: HomeOption = HOME_DEFAULT) -> None:
    """Print this node's peer id and, when it runs, the addresses to hand to others."""
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


def _with_peer_id(address: str, peer_id: str) -> str:
    suffix = f"/p2p/{peer_id}"
    return address if address.endswith(suffix) else address + suffix


command = typer.main.get_command(app)
