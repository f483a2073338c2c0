"""An audit over the API: what came of it, and errors that tell what is no peer from what nothing is known of."""

from __future__ import annotations

from tests.api.conftest import Served
from tests.api.fake_node import PEER_ID


async def test_a_post_audits_a_peer_and_tells_what_came_of_it(served: Served) -> None:
    answer = await served.client.post(f"/v1/peers/{PEER_ID}/audit")
    assert (answer.status_code, answer.json()["verdict"], answer.json()["peer_id"]) == (200, "ok", PEER_ID)


async def test_what_is_no_peer_id_is_a_bad_request_and_a_stranger_is_not_found(served: Served) -> None:
    assert (await served.client.post("/v1/peers/nonsense/audit")).status_code == 400
    stranger = "12D3KooWPkPStA4LkahfTLuCGAbhdvgVJKS4ZNYcJr31dz95XMgW"
    assert (await served.client.post(f"/v1/peers/{stranger}/audit")).status_code == 404
