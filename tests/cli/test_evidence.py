"""`evidence`: what scripts and people see of it."""

from __future__ import annotations

from p2pnode.services.results import Convicted
from tests.api.fake_node import PEER_ID
from tests.cli.conftest import Cli
from tests.cli.fake_daemon import FakeDaemon

FOUND = Convicted(
    id="ab" * 32,
    accused=PEER_ID,
    kind="false proof",
    reason="a false proof of shard 3",
    blob_id="A" * 43,
    shard=3,
    signed_about=1_800_000_000,
    heard_at=1_800_000_060,
    is_us=False,
)


def test_json_has_exactly_these_fields(cli: Cli, daemon: FakeDaemon) -> None:
    assert cli("evidence", "--json").json() == {"evidence": []}
    daemon.node.convicted.append(FOUND)
    assert cli("evidence", "--json").json() == {
        "evidence": [
            {
                "id": "ab" * 32,
                "accused": PEER_ID,
                "kind": "false proof",
                "reason": "a false proof of shard 3",
                "blob_id": "A" * 43,
                "shard": 3,
                "signed_about": 1_800_000_000,
                "heard_at": 1_800_000_060,
                "is_us": False,
            }
        ]
    }


def test_a_person_is_told_who_signed_what(cli: Cli, daemon: FakeDaemon) -> None:
    assert "no evidence against anybody" in cli("evidence").out.decode()
    daemon.node.convicted.append(FOUND)
    text = cli("evidence").out.decode()
    for part in ("2027-01-15 08:01 UTC", PEER_ID, "false proof about shard 3", "a false proof of shard 3"):
        assert part in text
    assert "this node" not in text


def test_what_convicts_this_node_is_marked(cli: Cli, daemon: FakeDaemon) -> None:
    fields = {name: getattr(FOUND, name) for name in Convicted.__slots__}
    daemon.node.convicted.append(Convicted(**(fields | {"is_us": True})))
    assert f"{PEER_ID} (this node)" in cli("evidence").out.decode()
