"""`check`: the verdict, what it stands on, and what to do."""

from __future__ import annotations

import dataclasses

import pytest

from p2pnode.errors import ExitCode
from tests.cli.conftest import Cli
from tests.cli.fake_daemon import FakeDaemon


def test_json_has_exactly_these_fields(cli: Cli, daemon: FakeDaemon) -> None:
    ended = cli("check", "--json")
    assert ended.json() == {
        "reach": "not reachable",
        "addresses": [
            {
                "address": "/ip4/192.0.2.7/tcp/4710",
                "origin": "observed",
                "reach": "not reachable",
                "reached_by": 0,
                "tried_by": 2,
            }
        ],
        "peers_asked": 3,
        "peers_answered": 2,
        "seen_at": ["192.0.2.7"],
        "port_mapping": "failed",
        "port_mapping_detail": "no router answered",
        "advice": "Forward TCP port 4710.",
        "seconds_since_check": 1.5,
    }
    assert daemon.node.checks == 1, "it asks for a check, not for what an old one found"


def test_a_person_is_told_the_verdict_the_witnesses_and_what_to_do(cli: Cli, daemon: FakeDaemon) -> None:
    del daemon
    text = cli("check").out.decode()
    for part in (
        "not reachable",
        "/ip4/192.0.2.7/tcp/4710 (where peers see this node): 0 of 2 peers got through",
        "2 of 3 answered",
        "failed: no router answered",
        "Forward TCP port 4710.",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("reach", "code"),
    [
        ("reachable", ExitCode.OK),
        ("not reachable", ExitCode.NOT_REACHABLE),
        ("unknown", ExitCode.SILENT),
        ("from another version", ExitCode.ERROR),
    ],
)
@pytest.mark.parametrize("form", [(), ("--json",)])
def test_each_verdict_has_an_exit_code(
    cli: Cli, daemon: FakeDaemon, reach: str, code: ExitCode, form: tuple[str, ...]
) -> None:
    daemon.node.reach_report = dataclasses.replace(daemon.node.reach_report, reach=reach)
    assert cli("check", *form).code == code


def test_nobody_asked_and_nobody_who_could_try_are_told_in_words(cli: Cli, daemon: FakeDaemon) -> None:
    report = daemon.node.reach_report
    untried = dataclasses.replace(report.addresses[0], reach="unknown", tried_by=0)
    daemon.node.reach_report = dataclasses.replace(
        report, reach="unknown", addresses=(untried,), peers_asked=0, peers_answered=0, seen_at=(), advice=""
    )
    text = cli("check").out.decode()
    assert "nobody could try" in text
    assert "none yet" in text
    assert "what to do" not in text
    assert "seen at" not in text


def test_what_a_router_says_is_one_printable_line(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.node.reach_report = dataclasses.replace(
        daemon.node.reach_report, port_mapping_detail="a\n\x1b[31mb", advice="c\nd"
    )
    text = cli("check").out.decode()
    assert "a ?[31mb" in text
    assert "c d" in text


def test_without_a_daemon_it_ends_with_9(cli: Cli) -> None:
    assert cli("check").code == ExitCode.NO_DAEMON
