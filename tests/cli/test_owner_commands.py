"""`ls`, `renew`, `rm`, `status` and `events`: what they ask of the daemon, and what they show."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import replace
from pathlib import Path

import pytest

from p2pnode.errors import ExitCode
from p2pnode.services.owner_face import ScrubState
from tests.api.fake_node import reference_of
from tests.api.fake_owner import THING_ID
from tests.cli.conftest import Cli
from tests.cli.fake_daemon import FakeDaemon
from wire.ids import PublicKey

REFERENCE = reference_of(b"data")
PEER = "12D3KooWBmAwcd4PJNJvfV89HwE48nwkRmAgo8Vy3uQEyNNHBox2"


def test_ls_shows_a_line_a_thing_and_with_q_the_references_only(cli: Cli, daemon: FakeDaemon) -> None:
    out = cli("ls").out.decode()
    assert [word in out for word in ("letter.txt", "1.5 kB", "2030-03-17 17:46 UTC", "9 of 10", "kept", THING_ID)]
    assert cli("ls", "-q").out.decode() == THING_ID + "\n"
    assert cli("ls", "--all", "--json").json()["things"]
    assert daemon.node.owner_asked[-1] == ("owned", True)


def test_ls_tells_how_long_each_thing_is_renewed(cli: Cli, daemon: FakeDaemon) -> None:
    [thing] = daemon.node.things
    for wanted_until, state, told in (
        (None, "kept", " always "),
        (1_950_000_000, "kept", " to 2031-10-17 "),
        (None, "removed", " no "),
    ):
        daemon.node.things = [dataclasses.replace(thing, wanted_until=wanted_until, state=state)]
        assert told in cli("ls").out.decode()


def test_ls_of_nothing_says_what_to_do(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.node.things = []
    assert "p2pnode put" in cli("ls").out.decode()


def test_a_put_says_name_time_and_renewers(cli: Cli, daemon: FakeDaemon, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_bytes(b"data")
    letter = tmp_path / "letter.txt"
    told = cli("put", letter, "--for", "90d", "--renewer", PEER, "--renewer", "ab" * 32).out.decode()
    assert "renewed by your node for 90 d\n" in told
    assert "renewed by your node while it runs\n" in cli("put", letter, "--name", "my letter").out.decode()
    first, second = daemon.node.options
    assert (first.name, first.keep_for_s) == ("letter.txt", 90 * 86_400)
    assert first.renewers[1] == PublicKey(b"\xab" * 32)
    assert len(first.renewers) == 2
    assert (second.name, second.keep_for_s, second.renewers) == ("my letter", None, ())


@pytest.mark.parametrize("arguments", [("--for", "soon"), ("--for", "0d"), ("--renewer", "nobody")])
def test_options_of_put_that_make_no_sense_are_usage_errors(
    cli: Cli, daemon: FakeDaemon, tmp_path: Path, arguments: tuple[str, str]
) -> None:
    (tmp_path / "file").write_bytes(b"data")
    ended = cli("put", tmp_path / "file", *arguments)
    assert ended.code == ExitCode.USAGE
    assert arguments[1] in ended.error()
    assert daemon.node.options == []


def test_renew_passes_the_time_on_and_tells_the_new_end(cli: Cli, daemon: FakeDaemon) -> None:
    out = cli("renew", REFERENCE, "--for", "90d").out.decode()
    assert "kept until  2030-03-17 17:46 UTC, renewed by your node for 90 d from now on" in out
    assert "10 of 10 are under the new lease" in out
    assert cli("renew", REFERENCE, "-q").out == b""
    assert daemon.node.owner_asked == [("renew", REFERENCE, 90 * 86_400), ("renew", REFERENCE, None)]


def test_a_renewal_that_some_holders_missed_ends_with_partial(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.node.renewed_healthy = 8
    ended = cli("renew", REFERENCE, "--json")
    assert ended.code == ExitCode.PARTIAL
    assert ended.json()["healthy"] == 8
    assert json.loads(ended.err)["warning"]["reason"] == "PARTIAL"


def test_rm_tells_how_many_holders_know_and_how_to_undo_it(cli: Cli, daemon: FakeDaemon) -> None:
    out = cli("rm", REFERENCE).out.decode()
    assert "8 of 10" in out
    assert "2 are away" in out
    assert f"p2pnode renew {REFERENCE}" in out
    assert cli("rm", REFERENCE, "--json").json() == {"id": REFERENCE, "holders": 10, "told": 8}
    assert cli("rm", REFERENCE, "-q").out == b""
    assert cli("rm", "x").code == ExitCode.USAGE
    assert len(daemon.node.owner_asked) == 3


def test_status_is_one_screen_and_says_when_all_is_well(cli: Cli, daemon: FakeDaemon) -> None:
    out = cli("status").out.decode()
    assert out.count("\n") <= 12
    for words in ("others can dial it", "9 other members, 8 connected", "250 B of 1.0 kB used (25 %)", "up 5.0 MB/s"):
        assert words in out
    assert out.endswith("all is well\n")
    daemon.node.warn("alone", "no other node is connected", "Check the line.")
    assert "! no other node is connected\n  Check the line.\n" in cli("status").out.decode()


def test_status_says_when_all_that_is_kept_was_last_looked_at(cli: Cli, daemon: FakeDaemon) -> None:
    assert "the first one begins 2027-01-26" in cli("status").out.decode()
    daemon.node.scrub_state = ScrubState(walks=True, pairs=7, lost=1, finished_at=1_800_000_000, next_at=None)
    assert "under way, 7 pairs looked at, 1 of them damaged" in cli("status").out.decode()
    daemon.node.scrub_state = replace(daemon.node.scrub_state, walks=False, lost=0, next_at=1_801_000_000)
    assert "finished 2027-01-15 08:00 UTC, 7 pairs looked at, none of them damaged" in cli("status").out.decode()
    assert cli("status", "--json").json()["scrub"] == dataclasses.asdict(daemon.node.scrub_state)


def test_status_json_has_the_space_in_bytes(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.node.warn("alone", "m", "a")
    answer = cli("status", "--json").json()
    assert answer["space"] == {"quota": 1000, "used": 250, "trash": 50, "disk_free": 5000}
    assert answer["warnings"] == [{"kind": "alone", "message": "m", "advice": "a"}]


def test_events_are_lines_after_a_number(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.node.events.tell("renewed", "first")
    daemon.node.events.tell("removed", "second", reference=REFERENCE)
    assert f"removed: second ({REFERENCE})" in cli("events").out.decode()
    answer = cli("events", "--after", "1", "--json").json()
    assert (answer["id"], answer["kind"], answer["reference"]) == (2, "removed", REFERENCE)


def test_the_trash_is_listed_kept_for_longer_and_emptied(cli: Cli, daemon: FakeDaemon) -> None:
    assert f"{THING_ID}  shard 3  2.0 kB  goes 2030-03-17 17:46 UTC" in cli("trash", "ls").out.decode()
    assert cli("trash", "ls", "--json").json()["trash"]
    assert cli("trash", "restore", REFERENCE, "--json").json() == {"blob_id": REFERENCE, "pairs": 1}
    assert [each.text() for each in daemon.node.trash.restored] == [REFERENCE]
    assert cli("trash", "restore", f"file:{REFERENCE}").code == ExitCode.USAGE
    assert cli("trash", "restore", "nonsense").code == ExitCode.USAGE
    assert cli("trash", "empty").out == b"removed 1 pair, 2.0 kB\n"
    assert cli("trash", "empty", "--json").json() == {"pairs": 0, "bytes_freed": 0}
    assert "empty" in cli("trash", "ls").out.decode()
