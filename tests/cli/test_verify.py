"""`verify`: a certificate of an id or of a file, with and without a daemon, and what scripts see of it."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path

import pytest

from p2pnode import bft
from p2pnode.errors import ExitCode
from p2pnode.services.results import KnownCertificate
from tests import factories
from tests.cli.conftest import Cli
from tests.cli.fake_daemon import FakeDaemon
from wire.codec import encode
from wire.ids import Signature

BLOB = factories.blob_id(1)
ENVELOPE = factories.signed_certificate(BLOB).envelope
GOOD = encode(ENVELOPE)
FORGED = encode(replace(ENVELOPE, signature=Signature(bytes(64))))
NETWORK = ("--network", factories.NETWORK)


@pytest.fixture
def known(daemon: FakeDaemon) -> FakeDaemon:
    """A daemon that knows a good certificate."""
    text = base64.b64encode(GOOD).decode("ascii")
    daemon.node.known_certificate = KnownCertificate(network=factories.NETWORK, envelope=text)
    return daemon


def test_the_certificate_of_an_id_is_checked_here_and_its_signers_are_looked_at(cli: Cli, known: FakeDaemon) -> None:
    del known
    found = cli("verify", BLOB.text(), "--json").json()
    assert found["valid"] is True
    assert (found["blobs"], found["n"], found["owner"]) == ([BLOB.text()], factories.N, ENVELOPE.signer.hex())
    assert found["keys"] == found["domains"] == found["shards"]
    assert found["needed"] == bft.quorum(factories.N)
    assert (found["vetted"], found["lease_end"]) == (0, factories.lease(BLOB).end)
    assert set(found) == {
        "valid", "owner", "blobs", "n", "needed", "shards", "keys", "domains", "vetted", "lease_end", "is_over",
    }  # fmt: skip


def test_a_saved_certificate_is_checked_without_any_daemon(cli: Cli, known: FakeDaemon, tmp_path: Path) -> None:
    file = tmp_path / "saved"
    assert cli("verify", BLOB.text(), "--save", str(file)).code == ExitCode.OK
    assert file.read_bytes() == GOOD
    known.stop()
    result = cli("verify", str(file), *NETWORK)
    text = result.out.decode()
    for part in ("valid: the owner's, and those of", ENVELOPE.signer.hex(), BLOB.text(), "not known here"):
        assert part in text
    assert cli("verify", str(file), *NETWORK, "--json").json()["vetted"] is None
    assert cli("verify", str(file)).code == ExitCode.INTEGRITY  # The home is of another network.


def test_what_is_forged_or_no_certificate_ends_with_its_exit_code(cli: Cli, daemon: FakeDaemon, tmp_path: Path) -> None:
    assert cli("verify", BLOB.text()).code == ExitCode.NO_RECORD
    assert cli("verify", "nonsense").code == ExitCode.USAGE
    for content, code in ((FORGED, ExitCode.INTEGRITY), (b"nonsense", ExitCode.USAGE), (b"", ExitCode.USAGE)):
        file = tmp_path / "file"
        file.write_bytes(content)
        assert cli("verify", str(file), *NETWORK).code == code
        assert cli("verify", str(file), *NETWORK, "--save", "x").code == ExitCode.USAGE
    forged = base64.b64encode(FORGED).decode("ascii")
    daemon.node.known_certificate = KnownCertificate(network=factories.NETWORK, envelope=forged)
    assert cli("verify", BLOB.text(), "--save", str(tmp_path / "never")).code == ExitCode.INTEGRITY
    assert not (tmp_path / "never").exists()
    daemon.node.known_certificate = KnownCertificate(network=factories.NETWORK, envelope="no base64")
    assert cli("verify", BLOB.text()).code == ExitCode.ERROR


def test_files_that_cannot_be_read_or_written_are_an_error(cli: Cli, known: FakeDaemon, tmp_path: Path) -> None:
    del known
    assert cli("verify", BLOB.text(), "--save", str(tmp_path / "no" / "such")).code == ExitCode.ERROR
