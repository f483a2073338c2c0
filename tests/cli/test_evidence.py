"""`evidence`: what scripts and people see of it."""

from __future__ import annotations

import base64
import random
from pathlib import Path

from crypto.peer_id import peer_id_to_text
from p2pnode.errors import ExitCode
from p2pnode.services.results import Convicted, KnownEvidence
from tests.api.fake_node import PEER_ID
from tests.cli.conftest import Cli
from tests.cli.fake_daemon import FakeDaemon
from tests.factories import NETWORK, peer_id
from tests.protocols.test_challenge import HOLDER, answer_of, example
from tests.protocols.test_evidence import evidence_of, false_answer
from wire.codec import encode

FOUND = Convicted(
    id="ab" * 32,
    accused=PEER_ID,
    kind="false proof",
    about="shard 3 of " + "A" * 43,
    reason="a false proof of shard 3",
    blob_id="A" * 43,
    shard=3,
    signed_about=1_800_000_000,
    heard_at=1_800_000_060,
    is_us=False,
)


def test_json_has_exactly_these_fields(cli: Cli, daemon: FakeDaemon) -> None:
    assert cli("evidence", "--json").json() == {"evidence": []}
    daemon.node.evidence.convicted.append(FOUND)
    assert cli("evidence", "--json").json() == {
        "evidence": [
            {
                "id": "ab" * 32,
                "accused": PEER_ID,
                "kind": "false proof",
                "about": "shard 3 of " + "A" * 43,
                "reason": "a false proof of shard 3",
                "blob_id": "A" * 43,
                "shard": 3,
                "signed_about": 1_800_000_000,
                "heard_at": 1_800_000_060,
                "is_us": False,
            }
        ]
    }


def test_a_person_is_told_who_signed_what(cli: Cli, daemon: FakeDaemon) -> None:
    assert "no evidence against anybody" in cli("evidence").out.decode()
    daemon.node.evidence.convicted.append(FOUND)
    text = cli("evidence").out.decode()
    for part in (FOUND.id, "2027-01-15 08:01 UTC", PEER_ID, "false proof about shard 3", "a false proof of shard 3"):
        assert part in text
    assert "this node" not in text


def test_what_convicts_this_node_is_marked(cli: Cli, daemon: FakeDaemon) -> None:
    fields = {name: getattr(FOUND, name) for name in Convicted.__slots__}
    daemon.node.evidence.convicted.append(Convicted(**(fields | {"is_us": True})))
    assert f"{PEER_ID} (this node)" in cli("evidence").out.decode()


def test_a_saved_piece_is_checked_without_any_daemon(
    cli: Cli, daemon: FakeDaemon, tmp_path: Path, rng: random.Random
) -> None:
    data = encode(evidence_of(false_answer(rng)))
    text = base64.b64encode(data).decode("ascii")
    daemon.node.evidence.pieces[FOUND.id] = KnownEvidence(network=NETWORK, evidence=text)
    file = tmp_path / "evidence"
    assert cli("evidence", FOUND.id, "--save", str(file)).code == ExitCode.OK
    assert file.read_bytes() == data
    daemon.stop()
    accused = peer_id_to_text(peer_id(HOLDER))
    found = cli("verify", str(file), "--network", NETWORK, "--json").json()
    assert (found["valid"], found["accused"], found["kind"]) == (True, accused, "false proof")
    text = cli("verify", str(file), "--network", NETWORK).out.decode()
    assert f"valid: {accused} has signed it" in text
    assert "a false proof of shard" in text
    assert cli("verify", str(file), "--network", "another").code == ExitCode.INTEGRITY


def test_a_true_proof_is_no_evidence_and_a_piece_goes_with_a_file(
    cli: Cli, daemon: FakeDaemon, tmp_path: Path, rng: random.Random
) -> None:
    del daemon
    file = tmp_path / "evidence"
    question, blob = example(rng)
    file.write_bytes(encode(evidence_of(answer_of(question, blob))))
    assert cli("verify", str(file), "--network", NETWORK).code == ExitCode.INTEGRITY
    assert cli("evidence", FOUND.id).code == ExitCode.USAGE
    assert cli("evidence", "--save", str(file)).code == ExitCode.USAGE
    assert cli("evidence", FOUND.id, "--save", str(file)).code == ExitCode.NO_RECORD
