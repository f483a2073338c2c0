"""Starting many nodes quickly: one process loads the program once, and each node is a fork of it.

Loading takes two seconds of CPU time a node, a fork some milliseconds. What runs in the fork is the program itself,
from its `main` on: a real process with its own session, environment and log. `Forks` is the side that asks; the other
side is this module run as a program, which ends when the asking side does. The nodes go on.

Both speak over a pair of sockets, one question and one answer at a time: JSON in one packet, with the descriptors of
the log and of what the node inherits beside it.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import socket
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from typing import NoReturn

PACKET_BYTES_MAX = 1 << 20
"""An environment and a command line; the system allows two megabytes for them."""

DESCRIPTORS_MAX = 8
FD = "fd:"
"""What stands before the number of an inherited descriptor in the arguments of a node."""

LOADED = ("p2pnode.cli.main", "p2pnode.daemon", "p2pnode.node")
"""What a node that starts would load."""

ANSWER_TIMEOUT_S = 120.0
"""How long the first answer may take, on a machine that does much else; later ones take milliseconds."""


class Forked:
    """A node's process, with what `subprocess.Popen` says of one."""

    def __init__(self, forks: Forks, pid: int) -> None:
        """Speak of a process that was forked."""
        self._forks = forks
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal; None while it runs."""
        if self.returncode is None:
            self.returncode = self._forks.code_of(self.pid)
        return self.returncode


class Forks:
    """The process that forks nodes; it is started with the first of them."""

    def __init__(self) -> None:
        """Nothing is started yet."""
        self._socket: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def start(
        self, arguments: Sequence[str], *, environment: Mapping[str, str], log: int, inherited: Sequence[int]
    ) -> Forked:
        """Start `p2pnode` with these arguments in a process of its own; it keeps the `inherited` descriptors.

        Their numbers are others there: an argument `fd:0` stands for the number of the first. Raises `OSError`.
        """
        question = {"arguments": list(arguments), "environment": dict(environment)}
        pid = self._ask(question, [log, *inherited])["pid"]
        assert isinstance(pid, int)
        return Forked(self, pid)

    def code_of(self, pid: int) -> int | None:
        """Return the exit code of a process that was started here; None while it runs. Raises `OSError`."""
        code = self._ask({"pid": pid}, [])["code"]
        assert code is None or isinstance(code, int)
        return code

    def close(self) -> None:
        """End the forking process; the nodes go on."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._process is not None:
            self._process.wait(ANSWER_TIMEOUT_S)
            self._process = None

    def _ask(self, question: Mapping[str, object], descriptors: Sequence[int]) -> dict[str, object]:
        connection = self._socket or self._begin()
        socket.send_fds(connection, [json.dumps(question).encode()], list(descriptors))
        data = connection.recv(PACKET_BYTES_MAX)
        if not data:
            raise OSError("the process that starts nodes has ended")
        answer: dict[str, object] = json.loads(data)
        return answer

    def _begin(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "testnet.forks", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                # A Ctrl-C on the terminal is for us: we decide when nodes end.
                start_new_session=True,
            )
        ours.settimeout(ANSWER_TIMEOUT_S)
        self._socket = ours
        return ours


def main(descriptor: int) -> None:
    """Answer until the asking side is gone. The outermost frame of the program, and of each node in it."""
    connection = socket.socket(fileno=descriptor)
    gc.disable()
    for module in LOADED:
        importlib.import_module(module)
    gc.freeze()  # What is loaded stays, and a collection in a fork would only copy its pages.
    gc.enable()
    while True:
        data, descriptors, _, _ = socket.recv_fds(connection, PACKET_BYTES_MAX, DESCRIPTORS_MAX)
        if not data:
            return
        question = json.loads(data)
        answer: dict[str, object]
        if "pid" in question:
            answer = {"code": _code_of(question["pid"])}
        else:
            pid = os.fork()
            if not pid:
                connection.close()
                _become_node(question["arguments"], question["environment"], descriptors)
            answer = {"pid": pid}
        for each in descriptors:
            os.close(each)
        connection.send(json.dumps(answer).encode())


def _code_of(pid: int) -> int | None:
    ended, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if ended else None


def _become_node(arguments: Sequence[str], environment: Mapping[str, str], descriptors: Sequence[int]) -> NoReturn:
    """Run the program in this fork, to its end."""
    code = 1
    try:
        os.setsid()
        log, *inherited = descriptors
        os.dup2(log, sys.stdout.fileno())
        os.dup2(log, sys.stderr.fileno())
        os.close(log)
        os.environ.clear()
        os.environ.update(environment)
        names = {f"{FD}{number}": str(each) for number, each in enumerate(inherited)}
        sys.argv = ["p2pnode", *(names.get(each, each) for each in arguments)]
        program = importlib.import_module(LOADED[0])
        code = program.main()
        sys.stderr.flush()
    except BaseException:  # noqa: BLE001 - the outermost frame of a process
        traceback.print_exc()
    finally:
        os._exit(code)


if __name__ == "__main__":
    main(int(sys.argv[1]))
