"""`stat` and `peers`, and the forms in which numbers are shown."""

from __future__ import annotations

import dataclasses

import pytest

from p2pnode.errors import ExitCode
from tests.api.fake_node import PEER_ID, reference_of
from tests.cli.conftest import Cli
from tests.cli.fake_daemon import FakeDaemon


@pytest.fixture
def reference(daemon: FakeDaemon) -> str:
    """What the daemon has."""
    daemon.node.blobs[reference_of(b"data")] = b"data"
    return reference_of(b"data")


def test_stat_json_has_exactly_these_fields(cli: Cli, reference: str) -> None:
    assert cli("stat", reference, "--json").json() == {
        "id": reference,
        "kind": "blob",
        "size": 4,
        "n": 10,
        "healthy": 9,
        "reachable": 8,
        "shards_to_read": 4,
        "certified": True,
        "lease_end": 1_900_000_000,
        "segments": 1,
        "stored_bytes": 6620,
        "nodes": 9,
        "domains": 8,
        "nodes_that_may_fail": 3,
        "domains_that_may_fail": 2,
    }


def test_stat_shows_a_person_the_same(cli: Cli, reference: str) -> None:
    text = cli("stat", reference).out.decode()
    for part in (reference, "4 B", "9 of 10 healthy", "8 reachable", "any 4 of them", "any 3 may fail", "2030-03-17"):
        assert part in text


def test_plan_json_has_exactly_these_fields(cli: Cli, daemon: FakeDaemon) -> None:
    assert daemon.node.asked == []
    assert cli("plan", "--size", "1GB", "--json").json() == {
        "size": 10**9,
        "n": 10,
        "limited_by": "members: each of them holds one shard, and some are left to take over",
        "segments": 545,
        "segment_bytes": 1_834_952,
        "stored_bytes": 3_932_168_820,
        "members": 12,
        "nodes": 10,
        "domains": 10,
        "spares": 2,
        "shards_to_read": 4,
        "shards_to_store": 7,
        "nodes_that_may_fail": 6,
        "domains_that_may_fail": 6,
    }


def test_plan_shows_a_person_the_same(cli: Cli, daemon: FakeDaemon) -> None:
    text = cli("plan", "--size", "5MB", "--shards", "31").out.decode()
    assert daemon.node.asked == []
    for part in ("5.0 MB", "31; any 11", "times the size", "12 of 12", "12 failure domains", "21 shards are signed"):
        assert part in text


@pytest.mark.parametrize("size", ["much", "-1", "99EB", ""])
def test_plan_of_an_impossible_size_ends_with_2(cli: Cli, daemon: FakeDaemon, size: str) -> None:
    ended = cli("plan", "--size", size)
    assert (ended.code, ended.out) == (ExitCode.USAGE, b"")
    assert daemon.node.asked == []


def test_stat_of_an_unknown_id_ends_with_4(cli: Cli, daemon: FakeDaemon) -> None:
    ended = cli("stat", reference_of(b"unknown"))
    assert ended.code == ExitCode.NO_RECORD
    assert "no holder" in ended.error()
    assert daemon.node.asked == []


def test_peers_json_has_exactly_these_fields(cli: Cli, daemon: FakeDaemon) -> None:
    assert cli("peers", "--json").json() == {
        "peers": [
            {
                "peer_id": PEER_ID,
                "state": "active",
                "addresses": ["/ip4/192.0.2.7/tcp/4710"],
                "connected": True,
                "seconds_since_contact": 2.5,
                "fresh": True,
                "capacity_bytes": 1000,
                "free_bytes": 400,
                "software": "p2pnode/0.1.0",
                "score": 0.951,
                "trust": "full",
                "domain": "192.0.2.0/24",
                "vetted": True,
                "receipts_of_it": 12,
                "receipts_by_it": 9,
            }
        ],
        "refused": {},
    }
    assert daemon.node.asked == []


def test_peers_count_what_was_refused_and_why(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.node.refused_counts = {"bad record": 3, "no admission work": 1}
    lines = cli("peers").out.decode().splitlines()
    assert lines[-1] == "refused since the start: bad record 3, no admission work 1"
    assert cli("peers", "--json").json()["refused"] == {"bad record": 3, "no admission work": 1}


def test_peers_are_a_line_each_and_no_id_is_cut(cli: Cli, daemon: FakeDaemon) -> None:
    peer = daemon.node.peer_list[0]
    daemon.node.peer_list = (peer, dataclasses.replace(peer, state="[red]lost\x1b[0m", seconds_since_contact=None))
    lines = cli("peers").out.decode().splitlines()
    assert len(lines) == 3
    assert all(PEER_ID in line and "/ip4/192.0.2.7/tcp/4710" in line for line in lines[1:])
    assert "2.5 s ago" in lines[1]
    assert "12 of it, 9 of us" in lines[1]
    assert "[red]lost?[0m" in lines[2], "what a peer says is not taken for markup or control"


@pytest.mark.parametrize(("field", "words"), [("frozen", "own link seems to be down"), ("restored", "old copy")])
def test_peers_says_what_a_person_must_know_to_read_the_states(
    cli: Cli, daemon: FakeDaemon, field: str, words: str
) -> None:
    assert words not in cli("peers").out.decode()
    daemon.node.is_frozen, daemon.node.is_restored = field == "frozen", field == "restored"
    assert words in cli("peers").out.decode()
    assert words not in cli("peers", "--json").out.decode()


def test_no_peers_are_told_in_words(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.node.peer_list = ()
    assert cli("peers").out == b"no other member is known yet\n"
    assert cli("peers", "--json").json() == {"peers": [], "refused": {}}


@pytest.mark.parametrize("arguments", [["peers"], ["stat", reference_of(b"x")], ["get", reference_of(b"x")]])
def test_without_a_daemon_they_end_with_9(cli: Cli, arguments: list[str]) -> None:
    ended = cli(*arguments)
    assert ended.code == ExitCode.NO_DAEMON
    assert "p2pnode run" in ended.error()


def test_without_a_home_they_end_with_9_too(cli: Cli) -> None:
    ended = cli("peers", "--home", str(cli.home / "nothing"))
    assert ended.code == ExitCode.NO_DAEMON
    assert "p2pnode init" in ended.error()


def test_a_peer_that_does_not_keep_its_promises_is_told_apart(cli: Cli, daemon: FakeDaemon) -> None:
    assert "0.95 " in cli("peers").out.decode()
    (peer,) = daemon.node.peer_list
    daemon.node.peer_list = (dataclasses.replace(peer, score=0.7, trust="quarantine"),)
    assert "0.70, quarantine" in cli("peers").out.decode()
