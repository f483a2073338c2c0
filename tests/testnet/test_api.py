"""Asking a node's API: the token goes along, and each way to fail has its own error."""

from __future__ import annotations

from dataclasses import replace

import pytest

from p2pnode.errors import NoDaemonError
from testnet import api
from tests.testnet.conftest import MakeTestnet


def test_the_homes_token_is_sent(make_testnet: MakeTestnet) -> None:
    testnet = make_testnet()
    testnet.start(2)
    first, second = testnet.nodes
    assert api.active_peers(first) == {second.peer_id}
    (first.home / "api-token").write_text("another", "utf-8")
    with pytest.raises(api.AnswerError, match="node-00 answers 401 to /v1/peers"):
        api.active_peers(first)


def test_a_node_that_does_not_answer_is_told_by_name(make_testnet: MakeTestnet) -> None:
    testnet = make_testnet()
    testnet.start(1)
    node = testnet.node("node-00")
    testnet.kill(["node-00"])
    with pytest.raises(NoDaemonError, match="node-00 does not answer at http"):
        api.active_peers(node)
    with pytest.raises(NoDaemonError, match="node-00 does not answer at its home"):
        api.active_peers(replace(node, api=""))
