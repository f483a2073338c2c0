"""The commands of `python -m testnet`, on fake nodes: they find their testnet, tell the truth and leave nothing."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, TypedDict, Unpack

import pytest
from typer.testing import CliRunner, Result

from testnet import api, cli, pids, state
from testnet.homes import Plan
from testnet.processes import Testnet
from tests.testnet.conftest import FAKE_NODE, fake_home, home_with_habit


class CommandOptions(TypedDict, total=False):
    """What the commands choose themselves."""

    tied: bool
    check: Callable[[], None]


class FakeTestnet(Testnet):
    """A testnet of fake nodes, as the commands make it."""

    make_home = staticmethod(fake_home)
    made: ClassVar[list[Testnet]] = []

    def __init__(self, directory: Path, **options: Unpack[CommandOptions]) -> None:
        """Put the fake program in the place of the real one; this process stays the parent, so it must reap."""
        self.made.append(self)
        super().__init__(directory, program=FAKE_NODE, make_home=type(self).make_home, **options)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give the test a cache of its own, and end what its testnets left."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(cli, "Testnet", FakeTestnet)
    yield tmp_path / "cache"
    while FakeTestnet.made:
        FakeTestnet.made.pop().stop(grace_s=0)


def invoke(*arguments: object, exit_code: int = 0) -> Result:
    result = CliRunner().invoke(cli.app, [str(argument) for argument in arguments])
    assert result.exit_code == exit_code, result.output
    return result


def up(*arguments: object) -> list[dict[str, Any]]:
    nodes: list[dict[str, Any]] = json.loads(invoke("up", "--json", *arguments).stdout)["nodes"]
    return nodes


def marks_in(directory: Path) -> list[pids.ProcessMark]:
    return [node.process for node in state.load(directory).nodes if node.process is not None]


def test_up_prints_every_node_and_leaves_it_running(tmp_path: Path) -> None:
    nodes = up("--nodes", 3, "--dir", tmp_path / "net")
    assert [node["name"] for node in nodes] == ["node-00", "node-01", "node-02"]
    for node in nodes:
        assert {"name", "pid", "peer_id", "home", "address", "api"} <= node.keys()
        assert pids.mark_of(node["pid"]) is not None
        assert json.loads((Path(node["home"]) / "daemon.json").read_text("utf-8"))["peer_id"] == node["peer_id"]


def test_without_a_directory_commands_mean_the_testnet_that_runs() -> None:
    up("--nodes", 2)
    invoke("kill", "node-01")
    states = json.loads(invoke("status", "--json").stdout)["nodes"]
    assert [node["running"] for node in states] == [True, False]
    assert [node["knows"] for node in states] == [1, None]  # The killed one could not take its file away.
    assert "node-01 listens on" in invoke("restart", "node-01").stdout
    assert "ended 2 nodes" in invoke("down").stdout


def test_a_testnet_elsewhere_is_found_too(tmp_path: Path) -> None:
    up("--nodes", 1, "--dir", tmp_path / "net")
    assert str(tmp_path / "net") in invoke("status", "--json").stdout


def test_with_two_running_testnets_a_command_does_not_guess(tmp_path: Path) -> None:
    up("--nodes", 1, "--dir", tmp_path / "first")
    up("--nodes", 1, "--dir", tmp_path / "second")
    result = invoke("down", exit_code=2)
    assert "several testnets run, say which with --dir" in result.stderr
    assert str(tmp_path / "first") in result.stderr
    invoke("down", "--dir", tmp_path / "first")
    assert "removed" in invoke("down").stdout


def test_without_any_testnet_a_command_says_how_to_start_one() -> None:
    assert "python -m testnet up" in invoke("status", exit_code=2).stderr


def test_down_ends_every_process_and_removes_everything(tmp_path: Path, own_cache: Path) -> None:
    up("--nodes", 2, "--dir", tmp_path / "net")
    marks = marks_in(tmp_path / "net")
    invoke("down")
    assert not any(map(pids.is_running, marks))
    assert not (tmp_path / "net").exists()
    assert list(own_cache.rglob("*testnets/*")) == []


def test_down_can_keep_what_was_written(tmp_path: Path) -> None:
    up("--nodes", 1, "--dir", tmp_path / "net")
    invoke("down", "--keep")
    assert (tmp_path / "net" / "node-00" / "home").exists()


def test_up_refuses_a_directory_with_something_in_it(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine", "utf-8")
    assert "is not an empty directory" in invoke("up", "--dir", tmp_path, exit_code=2).stderr
    assert (tmp_path / "thesis.txt").exists()


def test_a_failed_up_keeps_the_logs_where_the_user_chose_the_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeTestnet, "make_home", staticmethod(home_with_habit("fails", "node-01")))
    result = invoke("up", "--nodes", 2, "--dir", tmp_path / "net", exit_code=1)
    assert "the disk is on fire" in result.stderr
    assert "the disk is on fire" in (tmp_path / "net" / "node-01" / "node.log").read_text("utf-8")
    assert not (tmp_path / "net" / state.STATE_FILE).exists()


def test_an_interrupted_up_leaves_no_process_and_no_file(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGTERM comes while the second node is being started."""
    marks: list[pids.ProcessMark] = []

    def interrupt(home: Path, plan: Plan) -> None:
        fake_home(home, plan)
        if plan.name == "node-01":
            marks.extend(marks_in(home.parent.parent))
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(FakeTestnet, "make_home", staticmethod(interrupt))
    assert "interrupted" in invoke("up", "--nodes", 3, exit_code=130).stderr
    assert len(marks) == 1
    assert not any(map(pids.is_running, marks))
    assert list(own_cache.rglob("node-*")) == []


def test_logs_prints_the_end_of_a_nodes_log(tmp_path: Path) -> None:
    up("--nodes", 1, "--dir", tmp_path / "net")
    (tmp_path / "net" / "node-00" / "node.log").write_text("first\nsecond\nthird\n", "utf-8")
    assert invoke("logs", "node-00", "--lines", 2).stdout == "second\nthird\n"


def test_wait_ends_when_every_shard_has_a_holder(monkeypatch: pytest.MonkeyPatch) -> None:
    up("--nodes", 2)
    answers = iter([{"healthy": 2, "n": 4}, {"healthy": 3, "n": 4}, {"healthy": 4, "n": 4}])
    monkeypatch.setattr(api, "blob_status", lambda _node, _reference: next(answers))
    monkeypatch.setattr(cli, "POLL_S", 0)
    assert "healthy: 4 of 4" in invoke("wait", "--healthy", "some-id").stdout


def test_wait_gives_up_at_its_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    up("--nodes", 1)
    monkeypatch.setattr(api, "blob_status", lambda _node, _reference: {"healthy": 3, "n": 4})
    result = invoke("wait", "--healthy", "some-id", "--timeout", "0", exit_code=1)
    assert "only 3 of 4 shards have a live holder" in result.stderr


def test_wait_says_when_no_node_runs() -> None:
    up("--nodes", 1)
    invoke("kill", "node-00")
    assert "no node of" in invoke("wait", "--healthy", "some-id", exit_code=9).stderr


def test_a_damaged_state_file_is_an_error_of_one_line(tmp_path: Path) -> None:
    (tmp_path / state.STATE_FILE).write_text('{"version": 1, "nodes": [{}]}', "utf-8")
    assert "cannot be read" in invoke("status", "--dir", tmp_path, exit_code=1).stderr
