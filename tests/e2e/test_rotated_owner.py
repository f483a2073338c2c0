"""An owner key that is rotated: the node is killed on the way, and the new key alone lists and reads everything."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from testnet import client
from testnet.processes import Testnet
from tests.e2e.conftest import run_on, sha256, write_random
from tests.e2e.test_daemon import start
from tests.e2e.test_restored_owner import LISTEN, until

NODES = 6
OWNER = "node-02"
SIZES = {"letter": 1_000, "film": 3_000_000}


@pytest.fixture
def word(tmp_path: Path) -> Path:
    """A file with a passphrase."""
    path = tmp_path / "word"
    path.write_text("right horse")
    return path


def lists_all(home: Path) -> bool:
    """Tell whether a node lists everything."""
    return len(client.run(home, "ls", "-q").stdout.split()) == len(SIZES)


def test_after_a_rotation_the_new_key_alone_lists_and_reads_everything_and_the_old_one_still_reads(
    testnet: Testnet, tmp_path: Path, word: Path
) -> None:
    digests = {}
    for name, size in SIZES.items():
        source = write_random(tmp_path / name, size)
        digests[name] = sha256(source)
        run_on(testnet, OWNER, "put", str(source), "--for", "90d")

    def is_listed() -> bool:
        stored = run_on(testnet, OWNER, "status", "--json").json()["stored"]
        return bool(stored["is_listed"]) and stored["things"] == len(SIZES)

    def ends() -> dict[str, int]:
        things = run_on(testnet, OWNER, "ls", "--json").json()["things"]
        return {str(each["id"]): int(each["lease_end"]) for each in things}

    def is_moved() -> bool:
        return is_listed() and all(ends()[thing] > end for thing, end in before.items())

    until(is_listed, "the list is in the network")
    before = ends()
    run_on(testnet, OWNER, "id", "export", str(tmp_path / "old"), "--passphrase-file", str(word))
    refused = run_on(testnet, OWNER, "id", "rotate-owner", exit_code=1)
    assert "stop it" in refused.stderr
    testnet.terminate([OWNER])
    rotated = run_on(testnet, OWNER, "id", "rotate-owner", "--json").json()
    testnet.restart([OWNER])
    testnet.kill([OWNER])
    testnet.restart([OWNER])
    until(is_moved, "everything is leased and listed under the new key")
    run_on(testnet, OWNER, "id", "export", str(tmp_path / "new"), "--passphrase-file", str(word))
    testnet.kill([OWNER])

    for backup in ("new", "old"):
        home = tmp_path / f"home-{backup}"
        arguments = ("--listen", LISTEN, "--passphrase-file", str(word))
        assert client.run(home, "id", "import", str(tmp_path / backup), *arguments).exit_code == 0
        with start(home) as process:
            try:
                until(partial(lists_all, home), f"the {backup} backup lists all")
                for each in client.run(home, "ls", "--json").json()["things"]:
                    copy = tmp_path / "copy"
                    assert client.run(home, "get", each["id"], "-o", str(copy)).exit_code == 0
                    assert sha256(copy) == digests[each["name"]]
                    copy.unlink()
                if backup == "new":
                    for each in client.run(home, "ls", "--json").json()["things"]:
                        renewed = client.run(home, "renew", each["id"], "--json").json()
                        assert renewed["healthy"] >= renewed["n"] - (renewed["n"] - 1) // 3
            finally:
                process.terminate()
                assert process.wait(20) == 0
        assert "Traceback" not in (home / "log").read_text("utf-8")
    assert rotated["owner"] != rotated["predecessor"]
