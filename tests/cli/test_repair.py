"""`repair --dry-run`: what is missing, whose turn it is, how many bytes, and what it waits for."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

from p2pnode.errors import ExitCode
from p2pnode.services.results import RepairTask
from tests.api.fake_node import NOTHING_MISSING
from tests.cli.conftest import Cli
from tests.cli.fake_daemon import FakeDaemon

TASK = RepairTask(
    blob_id="A" * 43,
    pairs=2,
    pair_bytes=3_000_000,
    shard=7,
    level="normal",
    pairs_to_spare=5,
    rank=1,
    waits_for="nodes that come before this one have their turn",
    last_failure="",
)
OTHERS = replace(TASK, rank=None, waits_for="other nodes are to rebuild it", level="urgent", shard=8)
MISSING = replace(NOTHING_MISSING, tasks=(OTHERS, TASK), pairs_missing=4, pairs_ours=2)


def test_nothing_is_missing(cli: Cli, daemon: FakeDaemon) -> None:
    del daemon
    assert cli("repair", "--dry-run").out.decode() == "nothing is missing\n"


def test_a_person_sees_what_is_missing_whose_turn_it_is_and_how_many_bytes_it_takes(
    cli: Cli, daemon: FakeDaemon
) -> None:
    daemon.node.repair_report = MISSING
    text = cli("repair", "--dry-run").out.decode()
    for part in ("urgent", "others", "A" * 43, "would move about 3.0 MB, at most 2.0 MB/s"):
        assert part in text
    assert text.endswith("4 pairs missing, 2 of them for this node: nodes that come before this one have their turn\n")


def test_what_failed_and_what_was_done_is_told(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.node.repair_report = replace(
        MISSING,
        tasks=(replace(TASK, waits_for="", last_failure="too few holders"),),
        pairs_rebuilt=1,
        bytes_rebuilt=1_000_000,
        bytes_moved=1_050_000,
        credit_in_s=90.0,
    )
    text = cli("repair", "--dry-run").out.decode()
    assert f"! shard 7 of {'A' * 43}: too few holders\n" in text
    assert "it goes on in " in text
    assert text.endswith("2 of them for this node; 1 pair rebuilt, 1.1 MB moved for 1.0 MB\n")


def test_the_status_has_a_line_about_it(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.node.repair_report = MISSING
    assert "4 pairs missing" in cli("status").out.decode()
    told = cli("status", "--json").json()["repair"]
    assert isinstance(told, dict)
    assert told["pairs_missing"] == 4


def test_json_is_what_the_api_says(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.node.repair_report = MISSING
    told = cli("repair", "--dry-run", "--json").json()
    assert told == {**dataclasses.asdict(MISSING), "tasks": [dataclasses.asdict(each) for each in (OTHERS, TASK)]}


def test_nothing_is_to_be_commanded(cli: Cli, daemon: FakeDaemon) -> None:
    del daemon
    ended = cli("repair")
    assert ended.code == ExitCode.USAGE
    assert "by itself" in ended.err
