"""`drain`: it begins, tells how far it is, waits for the end, and is stopped."""

from __future__ import annotations

import pytest

from p2pnode.cli import drain
from p2pnode.errors import ExitCode
from tests.cli.conftest import Cli
from tests.cli.fake_daemon import FakeDaemon


def test_it_begins_and_says_what_waits(cli: Cli, daemon: FakeDaemon) -> None:
    assert cli("drain", "--status").out.decode() == "this node does not drain\n"
    told = cli("drain").out.decode()
    assert told == "2 of 2 pairs are to be handed over; leave the node running\n! one waits: n7 has no room\n"
    assert cli("drain", "--status").out.decode() == "1 of 2 pairs are to be handed over; leave the node running\n"
    assert cli("drain", "--stop", "--json").json() == {"state": "active", "pairs": 0, "pairs_left": 0, "waits_for": ""}
    assert daemon.node.drain.now.state == "active"


def test_it_waits_for_the_end(cli: Cli, daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain, "_LOOK_EVERY_S", 0.0)
    assert "stop it, and remove its home" in cli("drain", "--wait").out.decode()
    assert daemon.node.drain.now.state == "drained"


def test_two_wishes_at_once_are_refused(cli: Cli, daemon: FakeDaemon) -> None:
    ended = cli("drain", "--wait", "--stop")
    assert (ended.code, "one of --wait, --status and --stop" in ended.err) == (ExitCode.USAGE, True)
    assert daemon.node.drain.now.state == "active"
