"""`maintenance`: it announces an absence, shows it, and takes it back."""

from __future__ import annotations

import pytest

from p2pnode.errors import ExitCode
from tests.cli.conftest import Cli
from tests.cli.fake_daemon import FakeDaemon


def test_an_absence_is_announced_shown_and_taken_back(cli: Cli, daemon: FakeDaemon) -> None:
    waits = "the others wait for this node until 2027-01-15 14:00 UTC: stop it when you like\n"
    assert cli("maintenance").out.decode() == "no absence is announced\n"
    assert cli("maintenance", "--for", "6h").out.decode() == waits
    assert daemon.node.absence.now.until == 1_800_000_000 + 6 * 3600
    assert cli("maintenance").out.decode() == waits
    assert cli("maintenance", "--end", "--json").json() == {"state": "active", "until": None}


@pytest.mark.parametrize(
    ("arguments", "why"),
    [(["--for", "6h", "--end"], "not both"), (["--for", "soon"], "expected a time"), (["--for", "2d"], "at most 24 h")],
)
def test_what_makes_no_sense_is_refused(cli: Cli, daemon: FakeDaemon, arguments: list[str], why: str) -> None:
    ended = cli("maintenance", *arguments)
    assert (ended.code, why in ended.err) == (ExitCode.USAGE, True)
    assert daemon.node.absence.now.until is None
