"""`audit`: the verdict, what it was about, and what scripts see of it."""

from __future__ import annotations

import pytest

from p2pnode.errors import ExitCode
from p2pnode.reputation.scores import Verdict
from tests.api.fake_node import PEER_ID
from tests.cli.conftest import Cli
from tests.cli.fake_daemon import FakeDaemon


def test_json_has_exactly_these_fields(cli: Cli, daemon: FakeDaemon) -> None:
    del daemon
    assert cli("audit", PEER_ID, "--json").json() == {
        "peer_id": PEER_ID,
        "verdict": "ok",
        "reason": "as it was told",
        "asked_on": "receipt",
        "blob_id": "A" * 43,
        "shard": 3,
        "answer_bytes": 1500,
        "seconds": 0.25,
        "score": 0.951,
        "receipt": "signed by both",
    }


def test_a_person_is_told_what_was_asked_and_what_came_of_it(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.node.verdict = "wrong"
    text = cli("audit", PEER_ID).out.decode()
    for part in (PEER_ID, f"shard 3 of {'A' * 43}", "wrong: as it was told", "after 0.25 s", "0.951", "signed by both"):
        assert part in text


@pytest.mark.parametrize(
    ("verdict", "code"),
    [
        (Verdict.OK, ExitCode.OK),
        (Verdict.WRONG, ExitCode.INTEGRITY),
        (Verdict.ABSENT, ExitCode.INTEGRITY),
        (Verdict.TIMEOUT, ExitCode.SILENT),
        (Verdict.OFFLINE, ExitCode.SILENT),
        (Verdict.BUSY, ExitCode.SILENT),
        ("from another version", ExitCode.ERROR),
    ],
)
def test_the_exit_code_follows_the_verdict(cli: Cli, daemon: FakeDaemon, verdict: str, code: ExitCode) -> None:
    daemon.node.verdict = verdict
    assert cli("audit", PEER_ID).code == code


def test_all_holders_of_an_id_are_asked_and_the_worst_verdict_is_the_exit_code(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.node.blobs["A" * 43] = b""
    text = cli("audit", "A" * 43).out.decode()
    assert "proven by 1 of 1 holder" in text
    audits = cli("audit", "A" * 43, "--json").json()["audits"]
    assert isinstance(audits, list)
    assert [each["verdict"] for each in audits] == ["ok"]
    daemon.node.verdict = "absent"
    result = cli("audit", "A" * 43)
    assert result.code == ExitCode.INTEGRITY
    assert "as it was told" in result.out.decode()
    assert cli("audit", "B" * 42 + "A").code == ExitCode.NO_RECORD


def test_a_peer_of_which_nothing_is_known_and_what_is_no_peer_are_told_apart(cli: Cli, daemon: FakeDaemon) -> None:
    del daemon
    assert cli("audit", "nonsense").code == ExitCode.USAGE
    other = "12D3KooWPkPStA4LkahfTLuCGAbhdvgVJKS4ZNYcJr31dz95XMgW"
    assert cli("audit", other).code == ExitCode.NO_RECORD
