"""A private network as its users make it: init, run, invite, join; and a stranger who knows all but the secret."""

from __future__ import annotations

import base64
import time
from pathlib import Path

import pytest

from p2pnode.storage.home import open_home
from testnet import client
from testnet.homes import LISTEN, Plan
from testnet.processes import Testnet
from tests.e2e.conftest import put, read, run_on, sha256, write_random

MEMBERS = 4
"""The fewest that a write takes."""
NETWORK = "family"
HINT = "may be in a network with a secret"
TOO_FEW_HOLDERS = 5
ALONE_S = 30.0


def command(home: Path, *arguments: str, stdin: bytes | None = None) -> client.Finished:
    """Run a command that has to work."""
    finished = client.run(home, *arguments, stdin=stdin)
    assert finished.exit_code == 0, f"{arguments}: {finished.stderr}"
    return finished


def make_member(home: Path, plan: Plan) -> None:
    """Make a home as a user would: the first begins a network, the others are invited by it."""
    if plan.bootstrap is None:
        command(home, "init", "--with-secret", "--network", NETWORK, "--profile", "testnet", "--listen", LISTEN)
    else:
        code = command(home.parents[1] / "node-00" / "home", "invite", "--quiet").stdout
        assert len(code) < 400  # 315 with three members of one address each.
        command(home, "join", "-", "--listen", LISTEN, stdin=code)


def wait_for(testnet: Testnet, text: str) -> None:
    """Wait until a node's log says something."""
    deadline = time.monotonic() + ALONE_S
    while text not in testnet.log_end("node-00", lines=1_000):
        if time.monotonic() > deadline:
            pytest.fail(f"the log never says {text!r}:\n{testnet.log_end('node-00')}")
        time.sleep(0.05)


def test_members_who_were_invited_store_and_read_and_a_stranger_stays_alone(tmp_path: Path) -> None:
    with Testnet(tmp_path / "members", make_home=make_member) as members:
        members.start(MEMBERS)
        first = members.node("node-00")
        assert {open_home(node.home).secret for node in members.nodes} == {open_home(first.home).secret}
        source = write_random(tmp_path / "source", 200_000)
        reference = put(members, "node-01", source)
        assert read(members, "node-03", reference, tmp_path) == sha256(source)

        def make_stranger(home: Path, _plan: Plan) -> None:
            options = ("--network", NETWORK, "--profile", "testnet", "--listen", LISTEN, "--bootstrap", first.address)
            command(home, "init", *options)

        with Testnet(tmp_path / "stranger", make_home=make_stranger) as strangers:
            strangers.start(1)
            wait_for(strangers, HINT)
            assert run_on(strangers, "node-00", "peers", "--json").json()["peers"] == []
            assert run_on(strangers, "node-00", "id", "--json").json()["running"] is True
            run_on(strangers, "node-00", "put", str(source), exit_code=TOO_FEW_HOLDERS)
            stranger = strangers.node("node-00").peer_id
            known = run_on(members, "node-00", "peers", "--json").json()["peers"]
            assert len(known) == MEMBERS - 1
            assert stranger not in {peer["peer_id"] for peer in known}
        secret = (first.home / "network-secret").read_text("ascii").split()[1]
        spellings = (secret, base64.b64decode(secret).hex())
        logs = [members.log_end(node.name, lines=10_000) for node in members.nodes]
        assert not any(spelling in log for spelling in spellings for log in logs)
