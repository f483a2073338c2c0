"""The owner's paths: what is asked of the node, and what of its answers is passed on."""

from __future__ import annotations

import pytest
import trio

from tests.api.conftest import HEADERS, Served
from tests.api.fake_node import reference_of
from tests.api.fake_owner import THING_ID
from wire import limits
from wire.ids import PublicKey

KEY = "ab" * 32


async def test_a_put_passes_on_name_time_and_renewers(served: Served) -> None:
    query = f"name=a%20b&for_s=86400&renewer={KEY}&renewer={'cd' * 32}"
    answer = await served.client.put(f"/v1/blobs?{query}", content=b"data")
    assert answer.json()["lease_end"] == 1_900_000_000
    [options] = served.node.options
    assert (options.name, options.keep_for_s) == ("a b", 86_400)
    assert options.renewers == (PublicKey(b"\xab" * 32), PublicKey(b"\xcd" * 32))


@pytest.mark.parametrize(
    "query",
    [
        "for_s=0",
        "for_s=x",
        f"for_s={200 * 366 * 86_400}",
        "renewer=zz",
        "renewer=abcd",
        "name=" + "x" * (limits.TEXT_CHARS_MAX + 1),
        "name=a%0ab",
        "&".join([f"renewer={KEY}"] * (limits.RENEWERS_MAX + 1)),
    ],
)
async def test_what_makes_no_sense_is_refused_before_anything_is_stored(served: Served, query: str) -> None:
    answer = await served.client.put(f"/v1/blobs?{query}", content=b"data")
    assert answer.status_code == 400
    assert answer.json()["error"]["reason"] == "BAD_REQUEST"
    assert served.node.options == []


async def test_the_list_has_every_thing_and_removed_ones_if_asked_for(served: Served) -> None:
    [thing] = (await served.client.get("/v1/owned")).json()["things"]
    assert thing == {
        "id": THING_ID,
        "name": "letter.txt",
        "size": 1500,
        "stored_at": 1_800_000_000,
        "lease_end": 1_900_000_000,
        "wanted_until": None,
        "state": "kept",
        "n": 10,
        "healthy": 9,
        "renewers": [],
    }
    await served.client.get("/v1/owned?removed=true")
    assert served.node.owner_asked == [("owned", False), ("owned", True)]


async def test_renewals_and_removals_reach_the_node(served: Served) -> None:
    reference = reference_of(b"data")
    renewed = await served.client.post(f"/v1/blobs/{reference}/renew?for_s=60")
    assert renewed.json() == {"id": reference, "n": 10, "healthy": 10, "lease_end": 1_900_000_000}
    await served.client.post(f"/v1/blobs/{reference}/renew")
    removed = await served.client.delete(f"/v1/blobs/{reference}")
    assert removed.json() == {"id": reference, "holders": 10, "told": 8}
    assert served.node.owner_asked == [("renew", reference, 60), ("renew", reference, None), ("remove", reference)]


@pytest.mark.parametrize(("method", "path"), [("POST", "/v1/blobs/x/renew"), ("DELETE", "/v1/blobs/x")])
async def test_what_is_no_reference_is_refused(served: Served, method: str, path: str) -> None:
    answer = await served.client.request(method, path)
    assert (answer.status_code, answer.json()["error"]["reason"]) == (400, "BAD_REFERENCE")


async def test_the_status_has_its_space_in_bytes(served: Served) -> None:
    status = (await served.client.get("/v1/status")).json()
    assert status["space"] == {"quota": 1000, "used": 250, "trash": 50, "disk_free": 5000}
    assert status["traffic"] == {"up": 10_000, "down": 20_000, "limit_up": 5_000_000, "limit_down": None}
    assert status["warnings"] == []


async def test_an_absence_is_announced_and_taken_back(served: Served) -> None:
    here = {"state": "active", "until": None}
    assert (await served.client.get("/v1/maintenance")).json() == here
    away = {"state": "maintenance", "until": 1_800_003_600}
    assert (await served.client.post("/v1/maintenance?for_s=3600")).json() == away
    assert (await served.client.get("/v1/maintenance")).json() == away
    assert (await served.client.delete("/v1/maintenance")).json() == here


@pytest.mark.parametrize("query", ["", "?for_s=0", "?for_s=soon", "?for_s=86401"])
async def test_an_absence_that_nobody_waits_for_is_refused(served: Served, query: str) -> None:
    answer = await served.client.post("/v1/maintenance" + query)
    assert answer.status_code == 400
    assert served.node.absence.now.until is None


async def test_a_drain_is_begun_looked_at_and_stopped(served: Served) -> None:
    active = {"state": "active", "pairs": 0, "pairs_left": 0, "waits_for": ""}
    assert (await served.client.get("/v1/drain")).json() == active
    begun = {"state": "draining", "pairs": 2, "pairs_left": 2, "waits_for": "n7 has no room"}
    assert (await served.client.post("/v1/drain")).json() == begun
    assert (await served.client.get("/v1/drain")).json() == begun | {"pairs_left": 1, "waits_for": ""}
    assert (await served.client.delete("/v1/drain")).json() == active


async def test_the_quota_is_told_and_changed(served: Served) -> None:
    state = {"quota": 1000, "used": 250, "trash": 50, "room": 750, "disk_free": 5000, "disk_free_min": 100}
    assert (await served.client.get("/v1/quota")).json() == state
    changed = state | {"quota": 300, "room": 50}
    assert (await served.client.put("/v1/quota?bytes=300")).json() == changed
    assert (await served.client.get("/v1/quota")).json() == changed


@pytest.mark.parametrize(
    "query", ["", "?bytes=0", "?bytes=-1", "?bytes=1e3", f"?bytes={1 << 63}", "?bytes=" + "9" * 5000]
)
async def test_a_quota_that_makes_no_sense_changes_nothing(served: Served, query: str) -> None:
    answer = await served.client.put("/v1/quota" + query)
    assert answer.status_code == 400
    assert served.node.quota.now.quota == 1000


async def test_events_come_after_a_number_at_once_and_while_they_happen(served: Served) -> None:
    for number in range(1, 4):
        served.node.events.tell("renewed", f"message {number}", reference="abc")
    kept = (await served.client.get("/v1/events?after=1")).json()["events"]
    assert [(each["id"], each["message"]) for each in kept] == [(2, "message 2"), (3, "message 3")]
    with trio.fail_after(20):
        stream = await served.connect()
        head = f"Host: localhost\r\nAuthorization: {HEADERS['Authorization']}\r\n"
        async with stream:
            await stream.send_all(f"GET /v1/events?after=2&follow=true HTTP/1.1\r\n{head}\r\n".encode())
            assert await read_until(stream, b"message 3")
            served.node.events.tell("removed", "message 4")
            assert await read_until(stream, b"message 4")


async def read_until(stream: trio.SocketStream, wanted: bytes) -> bool:
    """Tell whether these bytes come."""
    data = b""
    while wanted not in data:
        part = bytes(await stream.receive_some(65_536))
        if not part:
            return False
        data += part
    return True
