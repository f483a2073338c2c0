"""An owner whose machine is gone: a backup of the keys, on a new machine, lists and reads everything again."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from testnet import client
from testnet.processes import Testnet
from tests.e2e.conftest import run_on, sha256, write_random
from tests.e2e.test_daemon import start

NODES = 6
OWNER = "node-02"
SIZES = {"letter": 1_000, "film": 3_000_000}
LISTEN = "/ip4/127.0.0.1/tcp/0"
WAIT_S = 90.0


def until(is_so: Callable[[], bool], what: str) -> None:
    """Ask again and again until it is so."""
    deadline = time.monotonic() + WAIT_S
    while not is_so():
        assert time.monotonic() < deadline, f"not within {WAIT_S:.0f} s: {what}"
        time.sleep(0.5)


def test_a_backup_of_the_keys_on_a_new_machine_lists_and_reads_everything(testnet: Testnet, tmp_path: Path) -> None:
    digests = {}
    for name, size in SIZES.items():
        source = write_random(tmp_path / name, size)
        digests[name] = sha256(source)
        run_on(testnet, OWNER, "put", str(source), "--for", "90d")
    word = tmp_path / "word"
    word.write_text("right horse")

    def is_listed() -> bool:
        stored = run_on(testnet, OWNER, "status", "--json").json()["stored"]
        return bool(stored["is_listed"]) and stored["things"] == len(SIZES)

    until(is_listed, "the list is in the network")
    backup = tmp_path / "backup"
    run_on(testnet, OWNER, "id", "export", str(backup), "--passphrase-file", str(word))
    testnet.kill([OWNER])

    home = tmp_path / "new"
    arguments = ("--listen", LISTEN, "--passphrase-file", str(word))
    assert client.run(home, "id", "import", str(backup), *arguments).exit_code == 0
    with start(home) as process:
        try:
            until(lambda: len(client.run(home, "ls", "-q").stdout.split()) == len(SIZES), "the new machine lists all")
            things = client.run(home, "ls", "--json").json()["things"]
            assert {each["name"]: each["size"] for each in things} == SIZES
            for each in things:
                copy = tmp_path / "copy"
                assert client.run(home, "get", each["id"], "-o", str(copy)).exit_code == 0
                assert sha256(copy) == digests[each["name"]]
                copy.unlink()
            renewed = client.run(home, "renew", things[0]["id"], "--json").json()
            assert renewed["healthy"] >= renewed["n"] - (renewed["n"] - 1) // 3
        finally:
            process.terminate()
            assert process.wait(20) == 0
    assert "Traceback" not in (home / "log").read_text("utf-8")


@pytest.mark.parametrize("limit", ["1MB/s"])
def test_a_limit_of_the_upload_is_kept_on_loopback(testnet: Testnet, tmp_path: Path, limit: str) -> None:
    word = tmp_path / "word"
    word.write_text("right horse")
    backup, home = tmp_path / "backup", tmp_path / "limited"
    run_on(testnet, "node-03", "id", "export", str(backup), "--passphrase-file", str(word))
    arguments = ("--listen", LISTEN, "--passphrase-file", str(word))
    assert client.run(home, "id", "import", str(backup), *arguments).exit_code == 0
    source = write_random(tmp_path / "source", 2_000_000)
    with start(home, "--limit-up", limit) as process:
        try:
            until(lambda: client.run(home, "status", "--json").json()["members"] >= NODES - 1, "it knows the others")
            before = client.run(home, "status", "--json").json()["traffic"]["up"]
            started = time.monotonic()
            assert client.run(home, "put", str(source)).exit_code in (0, 3)
            took_s = time.monotonic() - started
            traffic = client.run(home, "status", "--json").json()["traffic"]
            assert traffic["limit_up"] == 1_000_000
            sent = traffic["up"] - before
            assert sent > 2_000_000
            assert took_s > sent / 1_000_000 - 3  # Two seconds of credit, and what was sent after the put.
        finally:
            process.terminate()
            assert process.wait(20) == 0
    with start(home) as process:  # The counters survive.
        try:
            assert client.run(home, "status", "--json").json()["traffic"]["up"] >= traffic["up"]
        finally:
            process.terminate()
            process.wait(20)
