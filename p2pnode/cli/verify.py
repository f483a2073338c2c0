"""Check a certificate: what it proves, and what this node knows of those who signed it."""

from __future__ import annotations

import base64
import binascii
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from crypto.peer_id import peer_id_from_text
from p2pnode.cli.daemon_client import BadAnswerError, DaemonClient, daemon_of
from p2pnode.cli.local_files import LocalFileError
from p2pnode.cli.options import HOME_DEFAULT, HomeOption, JsonOption, new_app
from p2pnode.cli.output import print_facts, print_json, print_note, reporting
from p2pnode.errors import CallerError, NoDaemonError
from p2pnode.protocols.verifying import CERTIFICATE_BYTES_MAX, Verified, verify
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
        str, typer.Argument(metavar="CERTIFICATE|ID", help="A file that --save wrote, or what 'put' printed.")
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
            data, of = _read(path), network or open_home(home.expanduser()).settings.network
        else:
            known = daemon_of(home).certificate(certificate)
            data, of = _bytes_of(known.envelope), network or known.network
        try:
            verified = verify(data, network=of)
        except WireError as error:
            raise CallerError(f"{certificate} is no certificate: {error}") from error
        if save is not None:
            _write(save, data)
        signers = _known_signers(verified, home)
        if as_json:
            print_json(_facts(verified, signers))
        else:
            _print_for_a_person(verified, signers)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(CERTIFICATE_BYTES_MAX + 1)  # One more than it may have is as wrong as a million more.
    except OSError as error:
        raise LocalFileError(f"cannot read {path}: {error.strerror}") from error


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise LocalFileError(f"cannot write {path}: {error.strerror}") from error


def _bytes_of(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        message = f"unexpected answer from the daemon (a certificate that is no base64: {error})"
        raise BadAnswerError(message) from error


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
