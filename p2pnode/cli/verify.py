"""Check a certificate, or evidence: what it proves, and what this node knows of those who signed it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from crypto.peer_id import peer_id_from_text, peer_id_to_text
from p2pnode.cli.daemon_client import DaemonClient, daemon_of
from p2pnode.cli.options import HOME_DEFAULT, HomeOption, JsonOption, new_app
from p2pnode.cli.output import one_line, print_facts, print_json, print_note, reporting
from p2pnode.cli.proof_files import bytes_of, read_proof, write_proof
from p2pnode.errors import CallerError, NoDaemonError
from p2pnode.protocols.verifying import CERTIFICATE_BYTES_MAX, Verified, is_evidence, verify, verify_evidence
from p2pnode.storage.home import open_home
from p2pnode.wording import counted, human_date
from wire.errors import WireError
from wire.ids import PeerId

app = new_app()

_NOT_KNOWN = "not known here: the daemon does not run"


@dataclass(frozen=True, slots=True)
class _Signers:
    """What a daemon knows of those who signed."""

    domains: int
    vetted: int


@app.command(name="verify")
def verify_certificate(
    certificate: Annotated[
        str,
        typer.Argument(
            metavar="CERTIFICATE|ID", help="What 'put' printed, or a file that --save wrote, here or in 'evidence'."
        ),
    ],
    *,
    save: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the certificate of an ID there.")] = None,
    network: Annotated[
        str | None, typer.Option(metavar="NAME", help="The network that it is of; the home's unless given.")
    ] = None,
    as_json: JsonOption = False,
    home: HomeOption = HOME_DEFAULT,
) -> None:
    """Check every signature of a certificate, and show how many keys, failure domains and vetted members signed.

    A certificate in a file is checked without any daemon. It proves what they said: 'p2pnode audit ID' asks them.
    """
    with reporting(as_json=as_json):
        path = Path(certificate)
        if path.is_file():
            if save is not None:
                raise CallerError(f"--save is for the certificate of an id, and {certificate} is a file already")
            data = read_proof(path, bytes_max=CERTIFICATE_BYTES_MAX)
            of = network or open_home(home.expanduser()).settings.network
            if is_evidence(data):
                _print_evidence(data, network=of, as_json=as_json)
                return
        else:
            known = daemon_of(home).certificate(certificate)
            data, of = bytes_of(known.envelope), network or known.network
        try:
            verified = verify(data, network=of)
        except WireError as error:
            raise CallerError(f"{certificate} is no certificate: {error}") from error
        if save is not None:
            write_proof(save, data)
        signers = _known_signers(verified, home)
        if as_json:
            print_json(_facts(verified, signers))
        else:
            _print_for_a_person(verified, signers)


def _print_evidence(data: bytes, *, network: str, as_json: bool) -> None:
    found = verify_evidence(data, network=network)
    accused = peer_id_to_text(found.accused)
    if as_json:
        print_json(
            {
                "valid": True,
                "accused": accused,
                "kind": found.kind_text,
                "about": found.about,
                "blob_id": None if found.blob_id is None else found.blob_id.text(),
                "shard": found.shard,
                "signed_about": found.signed_about,
                "reason": found.reason,
            }
        )
        return
    print_facts(
        [
            ("signature", f"valid: {accused} has signed it"),
            ("evidence", f"{found.kind_text} about {found.about}"),
            ("why", one_line(found.reason)),
        ]
    )


def _known_signers(verified: Verified, home: Path) -> _Signers | None:
    try:
        daemon = daemon_of(home)
        return _signers_as_seen_by(daemon, verified)
    except NoDaemonError:
        return None


def _signers_as_seen_by(daemon: DaemonClient, verified: Verified) -> _Signers:
    own = PeerId(peer_id_from_text(daemon.info().peer_id))
    peers = {PeerId(peer_id_from_text(each.peer_id)): each for each in daemon.peers().peers}
    vetted = {own, *(peer_id for peer_id, each in peers.items() if each.vetted)}  # A node relies on itself.
    return _Signers(
        domains=verified.domains({peer_id: each.domain for peer_id, each in peers.items()}),
        vetted=verified.vetted(vetted),
    )


def _facts(verified: Verified, signers: _Signers | None) -> dict[str, object]:
    return {
        "valid": True,
        "owner": verified.owner.hex(),
        "blobs": [each.text() for each in verified.blob_ids],
        "n": verified.n,
        "needed": verified.needed,
        "shards": verified.shards,
        "keys": len(verified.signers),
        "domains": None if signers is None else signers.domains,
        "vetted": None if signers is None else signers.vetted,
        "lease_end": verified.lease_end,
        "is_over": _is_over(verified),
    }


def _print_for_a_person(verified: Verified, signers: _Signers | None) -> None:
    first, count = verified.blob_ids[0].text(), len(verified.blob_ids)
    over = " (over)" if _is_over(verified) else ""
    print_facts(
        [
            ("signatures", f"valid: the owner's, and those of {counted(len(verified.signers), 'distinct key')}"),
            ("owner", verified.owner.hex()),
            ("blobs", first if count == 1 else f"{count}, the first is {first}"),
            ("shards", f"{verified.shards} of {verified.n} signed for; {verified.needed} are needed"),
            ("domains", _NOT_KNOWN if signers is None else f"{signers.domains}, as this node sees them"),
            ("vetted", _NOT_KNOWN if signers is None else f"{signers.vetted} of {len(verified.signers)} signers"),
            ("kept until", f"{human_date(verified.lease_end)}{over}"),
        ]
    )
    print_note("it proves what its signers said then; 'p2pnode audit ID' has them prove that they keep it")


def _is_over(verified: Verified) -> bool:
    return verified.lease_end < time.time()


command = typer.main.get_command(app)
