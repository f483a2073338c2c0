"""What a node tells of repair over the API."""

from __future__ import annotations

import dataclasses

from tests.api.conftest import Served
from tests.api.fake_node import NOTHING_MISSING


async def test_what_is_missing_is_told(served: Served) -> None:
    answer = await served.client.get("/v1/repairs")
    assert (answer.status_code, answer.json()) == (200, {**dataclasses.asdict(NOTHING_MISSING), "tasks": []})
