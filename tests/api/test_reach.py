"""Reachability over the API: the last result for who reads, a new check for who asks."""

from __future__ import annotations

import dataclasses
import json

from tests.api.conftest import Served


async def test_reading_does_not_check_and_posting_does(served: Served) -> None:
    expected = json.loads(json.dumps(dataclasses.asdict(served.node.reach_report)))
    answer = await served.client.get("/v1/reach")
    assert (answer.status_code, answer.json(), served.node.checks) == (200, expected, 0)
    answer = await served.client.post("/v1/reach")
    assert (answer.status_code, answer.json(), served.node.checks) == (200, expected, 1)


async def test_the_node_tells_the_verdict_beside_the_rest(served: Served) -> None:
    assert (await served.client.get("/v1/node")).json()["reach"] == "unknown"
