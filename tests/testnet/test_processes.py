"""The launcher of real processes: all start, all find each other, and none is left behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from p2pnode.errors import CallerError
from testnet import pids, state
from testnet.processes import StartError, Testnet
from tests.testnet.conftest import MakeTestnet, home_with_habit


def marks_of(testnet: Testnet) -> list[pids.ProcessMark]:
    return [node.process for node in testnet.nodes if node.process is not None]


def test_every_node_runs_and_is_known_by_name(make_testnet: MakeTestnet) -> None:
    testnet = make_testnet()
    testnet.start(3)
    assert [node.name for node in testnet.nodes] == ["node-00", "node-01", "node-02"]
    assert testnet.running == testnet.nodes
    assert len({node.peer_id for node in testnet.nodes}) == 3
    assert all(node.api.startswith("http://127.0.0.1:") for node in testnet.nodes)


def test_leaving_the_block_ends_every_node(make_testnet: MakeTestnet) -> None:
    with make_testnet() as testnet:
        testnet.start(3)
        marks = marks_of(testnet)
    assert len(marks) == 3
    assert not any(map(pids.is_running, marks))


def test_an_error_in_the_block_ends_every_node(make_testnet: MakeTestnet) -> None:
    marks = []

    def fail_inside() -> None:
        with make_testnet() as testnet:
            testnet.start(2)
            marks.extend(marks_of(testnet))
            raise LookupError

    with pytest.raises(LookupError):
        fail_inside()
    assert len(marks) == 2
    assert not any(map(pids.is_running, marks))


def test_tied_nodes_end_when_their_starter_is_killed(tmp_path: Path) -> None:
    """SIGKILL runs no cleanup: only the pipe can tell the nodes."""
    program = (
        "import sys; from pathlib import Path; from tests.testnet.conftest import FAKE_NODE, fake_home\n"
        "from testnet.processes import Testnet\n"
        "net = Testnet(Path(sys.argv[1]), program=FAKE_NODE, make_home=fake_home); net.start(3)\n"
        "print('started', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "net")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    ) as starter:
        assert starter.stdout is not None
        assert starter.stdout.readline() == b"started\n"
        marks = [node.process for node in state.load(tmp_path / "net").nodes if node.process]
        assert len(marks) == 3
        assert all(map(pids.is_running, marks))
        starter.kill()
    assert pids.wait_ended(marks, timeout_s=10) == []


def test_untied_nodes_can_be_ended_by_another_process_from_the_state_file(make_testnet: MakeTestnet) -> None:
    testnet = make_testnet(tied=False)
    testnet.start(2)
    later = Testnet.load(testnet.directory)
    assert later.running == testnet.running
    later.stop()
    assert later.running == ()


@pytest.mark.parametrize(
    ("habit", "told"),
    [
        ("fails", "node-02 ended with exit code 1; its log ends:\nthe disk is on fire"),
        ("hangs", "node-02 does not listen yet; its log is empty"),
        ("lonely", "node-02 does not know node-00, node-01 yet; its log is empty"),
    ],
)
def test_a_failed_start_names_the_culprit_and_leaves_no_process(
    make_testnet: MakeTestnet, habit: str, told: str
) -> None:
    testnet = make_testnet(make_home=home_with_habit(habit, "node-02"))
    with pytest.raises(StartError) as caught:
        testnet.start(3, timeout_s=3)
    assert told in str(caught.value)
    assert len(marks_of(testnet)) >= 2
    assert testnet.running == ()


def test_an_interruption_during_the_start_leaves_no_process(make_testnet: MakeTestnet) -> None:
    def interrupt_once_all_run() -> None:
        if len(testnet.running) == 3:
            raise KeyboardInterrupt

    testnet = make_testnet(tied=False, check=interrupt_once_all_run, make_home=home_with_habit("lonely", "node-01"))
    with pytest.raises(KeyboardInterrupt):
        testnet.start(3, timeout_s=20)
    assert len(marks_of(testnet)) == 3
    assert testnet.running == ()


def test_a_killed_node_ends_alone_and_comes_back_at_its_address(make_testnet: MakeTestnet) -> None:
    testnet = make_testnet()
    testnet.start(3)
    before = testnet.node("node-01")
    testnet.kill(["node-01"])
    assert [node.name for node in testnet.running] == ["node-00", "node-02"]
    testnet.restart(["node-01"])
    after = testnet.node("node-01")
    assert after.is_running()
    assert after.process != before.process
    assert (after.peer_id, after.address) == (before.peer_id, before.address)


def test_a_node_whose_port_was_taken_comes_back_elsewhere(make_testnet: MakeTestnet) -> None:
    testnet = make_testnet()
    testnet.start(2)
    address = testnet.node("node-01").address
    testnet.kill(["node-01"])
    with socket.create_server(("127.0.0.1", int(address.split("/")[4]))):
        testnet.restart(["node-01"])
    assert testnet.node("node-01").is_running()
    assert testnet.node("node-01").address != address


def test_a_running_node_is_not_started_twice(make_testnet: MakeTestnet) -> None:
    testnet = make_testnet()
    testnet.start(1)
    with pytest.raises(CallerError, match="node-00 runs already"):
        testnet.restart(["node-00"])


def test_an_unknown_name_is_refused_with_the_known_ones(make_testnet: MakeTestnet) -> None:
    testnet = make_testnet()
    testnet.start(2)
    with pytest.raises(CallerError, match="no node 'node-07' here: there are node-00, node-01"):
        testnet.kill(["node-00", "node-07"])
    assert len(testnet.running) == 2


def test_a_node_that_ignores_sigterm_is_killed_after_the_grace(make_testnet: MakeTestnet) -> None:
    testnet = make_testnet(make_home=home_with_habit("stubborn", "node-01"))
    testnet.start(2)
    assert testnet.terminate(["node-00", "node-01"], grace_s=1) == {"node-00": 0, "node-01": -signal.SIGKILL}


def test_removal_leaves_what_is_not_the_testnets(make_testnet: MakeTestnet) -> None:
    testnet = make_testnet()
    testnet.start(2)
    testnet.stop()
    (testnet.directory / "notes.txt").write_text("mine", "utf-8")
    testnet.remove()
    assert [path.name for path in testnet.directory.iterdir()] == ["notes.txt"]


def test_two_testnets_run_side_by_side(make_testnet: MakeTestnet, tmp_path: Path) -> None:
    first, second = make_testnet(tmp_path / "first"), make_testnet(tmp_path / "second")
    first.start(2)
    second.start(2)
    first.stop()
    assert len(second.running) == 2


def test_one_seed_gives_one_set_of_homes(make_testnet: MakeTestnet, tmp_path: Path) -> None:
    plans = []
    for name in ("first", "second"):
        testnet = make_testnet(tmp_path / name)
        testnet.start(2, seed="lighthouse")
        plans.append([(node.home / "plan").read_text("utf-8") for node in testnet.nodes])
    assert plans[0] == plans[1]


def test_a_mark_of_another_start_is_never_signalled() -> None:
    own = pids.mark_of(os.getpid())
    assert own is not None
    recycled = pids.ProcessMark(own.pid, own.started + "1")
    assert not pids.is_running(recycled)
    assert not pids.send_signal(recycled, signal.SIGCONT)


def test_a_process_that_waits_to_be_reaped_has_ended() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        mark = pids.ProcessMark(child.pid, "whatever its start was")
        while pids.mark_of(child.pid) is not None:
            mark = pids.mark_of(child.pid) or mark
        assert child.returncode is None
        assert not pids.is_running(mark)
