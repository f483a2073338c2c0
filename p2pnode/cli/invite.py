"""Print one short code with which another node joins this network.

The code has the network's secret: it is printed here and nowhere else, so that it lands in no log by accident.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import typer

from crypto.peer_id import peer_id_from_text
from p2pnode.cli.daemon_client import daemon_of
from p2pnode.cli.options import HOME_DEFAULT, HomeOption, JsonOption, QuietOption, new_app
from p2pnode.cli.output import print_json, print_note, reporting
from p2pnode.config import PROFILES
from p2pnode.errors import P2PNodeError
from p2pnode.network.addresses import BadAddressError, Endpoint, parse_endpoint
from p2pnode.services.results import NodeInfo, PeerStatus
from p2pnode.storage.home import open_home
from wire import limits
from wire.ids import PeerId
from wire.invitations import Invitation, InvitedMember
from wire.protocol_ids import NetworkNames

app = new_app()

OTHER_ADDRESSES_MAX = 2
"""Addresses of each further member: they are only needed while this node is away, and each makes the code longer."""


@app.command()
def invite(*, as_json: JsonOption = False, quiet: QuietOption = False, home: HomeOption = HOME_DEFAULT) -> None:
    """Print one short code: whoever runs 'p2pnode join CODE' with it is in this network."""
    with reporting(as_json=as_json):
        path = home.expanduser()
        daemon = daemon_of(path)
        info = daemon.info()
        secret = open_home(path).secret
        parameters = NetworkNames(info.network, PROFILES[info.profile].shared())
        invitation = Invitation(
            network=info.network,
            profile=info.profile,
            parameter_hash=bytes.fromhex(parameters.parameter_hash),
            secret=secret,
            members=(_own(info), *_others(daemon.peers().peers)),
        )
        code = invitation.text()
        if as_json:
            print_json(
                {
                    "code": code,
                    "network": info.network,
                    "profile": info.profile,
                    "has_secret": secret is not None,
                    "addresses": list(invitation.bootstrap()),
                }
            )
            return
        print(code)
        if not quiet:
            _print_notes(info, has_secret=secret is not None)


def _print_notes(info: NodeInfo, *, has_secret: bool) -> None:
    print_note("on the other machine: p2pnode join CODE ('p2pnode join -' reads it from standard input)")
    if has_secret:
        print_note(f"whoever sees this code can join {info.network}: hand it on as you would a password")
    else:
        print_note(f"network {info.network} has no secret: anybody who knows its name and an address may join it")


def _own(info: NodeInfo) -> InvitedMember:
    """Return this node at its best addresses. Raises `P2PNodeError` when it has none."""
    suffix = f"/p2p/{info.peer_id}"
    addresses = _best([address.removesuffix(suffix) for address in info.addresses], limits.INVITED_ADDRESSES_MAX)
    if not addresses:
        message = "this node has no address that others could dial: name one with 'p2pnode run --announce ADDRESS'"
        raise P2PNodeError(message)
    return InvitedMember.at(PeerId(peer_id_from_text(info.peer_id)), addresses)


def _others(peers: Sequence[PeerStatus]) -> Iterable[InvitedMember]:
    """Return further members that are connected now, as many as fit."""
    found: list[InvitedMember] = []
    for peer in peers:
        if not peer.connected or len(found) == limits.INVITED_MEMBERS_MAX - 1:
            continue
        addresses = _best(peer.addresses, OTHER_ADDRESSES_MAX)
        if addresses:
            found.append(InvitedMember.at(PeerId(peer_id_from_text(peer.peer_id)), addresses))
    return found


def _best(addresses: Sequence[str], count_max: int) -> list[str]:
    """Return what is most likely to work elsewhere, loopback only where there is nothing else.

    Left out is what a newcomer cannot begin with; a peer may have said anything of itself.
    """
    usable: list[Endpoint] = []
    for address in dict.fromkeys(addresses):
        try:
            endpoint = parse_endpoint(address)
        except BadAddressError:
            continue
        if not endpoint.is_unspecified:
            usable.append(endpoint)
    elsewhere = [each for each in usable if each.ip is None or not each.ip.is_loopback]
    ranked = sorted(elsewhere or usable, key=lambda each: each.is_private)
    return [each.text() for each in ranked[:count_max]]


command = typer.main.get_command(app)
