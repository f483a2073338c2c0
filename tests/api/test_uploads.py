"""PUT: the body reaches the node piece by piece, and every end is told."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator

import pytest
import trio
import trio.testing

from p2pnode.api import edge
from p2pnode.errors import QuotaError, TooFewHoldersError
from tests.api.conftest import TOKEN, Served, read_until_cut
from tests.api.fake_node import reference_of

NAME = "upload-0123456789"


async def pieces(data: bytes) -> AsyncIterator[bytes]:
    yield data[:1]
    yield data[1:]


def head(length: int, *, name: str = NAME) -> bytes:
    return (
        f"PUT /v1/blobs HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
        f"P2PNode-Transfer: {name}\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


async def outcome(served: Served, name: str = NAME) -> dict[str, object]:
    """Return how a transfer ended; it may still be ending when its client knows already."""
    with trio.fail_after(10):
        while True:
            answer: dict[str, object] = (await served.client.get(f"/v1/transfers/{name}")).json()
            if answer.get("state") != "running":
                return answer


@pytest.mark.parametrize("size", [0, 1, 65_537, 3_000_001])
async def test_what_is_put_is_kept_and_the_result_is_exact(served: Served, rng: random.Random, size: int) -> None:
    data = rng.randbytes(size)
    answer = await served.client.put("/v1/blobs", content=data, headers={"P2PNode-Transfer": NAME})
    result = {
        "id": reference_of(data),
        "kind": "blob",
        "size": size,
        "n": 10,
        "healthy": 10,
        "segments": 1,
        "nodes_that_may_fail": 3,
        "seconds": 0.5,
        "lease_end": 1_900_000_000,
    }
    assert (answer.status_code, answer.json()) == (200, result)
    assert served.node.blobs == {reference_of(data): data}
    assert served.node.asked == [(None, size)]
    assert await outcome(served) == {"transfer": NAME, "state": "done", "error": None, "result": result}


async def test_a_body_of_unknown_length_is_put_without_a_size(served: Served, rng: random.Random) -> None:
    data = rng.randbytes(300_000)
    answer = await served.client.put("/v1/blobs?shards=7", content=pieces(data))
    assert answer.json()["n"] == 7
    assert served.node.asked == [(7, None)]
    assert served.node.blobs[reference_of(data)] == data


async def test_an_error_before_the_body_is_told_while_the_client_still_sends(served: Served) -> None:
    served.node.put_error = TooFewHoldersError("3 of 7 holders took it")
    async with await served.connect() as stream:
        await stream.send_all(head(10**9) + bytes(1000))
        answer = await read_until_cut(stream)
    assert answer.startswith(b"HTTP/1.1 503")
    assert b'{"error": {"reason": "TOO_FEW_HOLDERS", "message": "3 of 7 holders took it", "exit_code": 5}}' in answer


async def test_an_error_in_the_middle_is_told_and_remembered(served: Served) -> None:
    served.node.put_error, served.node.put_error_after = QuotaError("no room"), 100_000
    answer = await served.client.put("/v1/blobs", content=bytes(1_000_000), headers={"P2PNode-Transfer": NAME})
    assert answer.status_code == 507
    assert (await outcome(served))["error"] == {"reason": "QUOTA", "message": "no room", "exit_code": 8}


async def test_an_error_after_the_body_is_told(served: Served) -> None:
    served.node.put_error, served.node.put_error_after = QuotaError("no room"), -1
    answer = await served.client.put("/v1/blobs", content=bytes(1_000_000))
    assert answer.json()["error"]["reason"] == "QUOTA"


async def test_a_bug_in_the_middle_is_told_by_its_trace_only(served: Served) -> None:
    served.node.put_error, served.node.put_error_after = RuntimeError("secret"), 100_000
    answer = await served.client.put("/v1/blobs", content=bytes(1_000_000), headers={"P2PNode-Transfer": NAME})
    assert answer.json()["error"]["reason"] == "INTERNAL"
    assert "secret" not in answer.text
    assert (await outcome(served))["error"] == answer.json()["error"]


@pytest.mark.parametrize("sent", [1000, 5000], ids=["in the body", "after the body"])
async def test_a_client_that_leaves_cancels_its_put(served: Served, sent: int) -> None:
    served.node.put_gate = trio.Event()
    async with await served.connect() as stream:
        await stream.send_all(head(5000) + bytes(sent))
        with trio.fail_after(10):
            while served.node.taken == 0:
                await trio.lowlevel.checkpoint()
    with trio.fail_after(10):
        await served.node.cancelled.wait()
    error = (await outcome(served))["error"]
    assert isinstance(error, dict)
    assert error["reason"] == "CLIENT_GONE"
    assert served.node.blobs == {}


async def test_a_client_that_pauses_for_too_long_ends_its_put(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge, "RECEIVE_STALL_S_MAX", 0.05)
    async with await served.connect() as stream:
        await stream.send_all(head(5000) + bytes(1000))
        answer = await read_until_cut(stream)
    assert b"UPLOAD_STALLED" in answer
    assert served.node.blobs == {}


async def test_a_malformed_transfer_name_is_refused(served: Served) -> None:
    answer = await served.client.put("/v1/blobs", content=b"x", headers={"P2PNode-Transfer": "short"})
    assert answer.status_code == 400
    assert served.node.asked == []


async def test_a_node_that_waits_makes_the_client_wait(served: Served) -> None:
    """Backpressure: what is sent stops at what sockets and queues hold, far below the size of the body."""
    size, sent = 64_000_000, 0
    served.node.put_gate = trio.Event()

    async def send() -> None:
        nonlocal sent
        await stream.send_all(head(size))
        while sent < size:
            await stream.send_all(bytes(100_000))
            sent += 100_000

    async with await served.connect() as stream, trio.open_nursery() as nursery:
        nursery.start_soon(send)
        await trio.testing.wait_all_tasks_blocked(0.3)
        assert 0 < served.node.taken < 1_000_000
        assert sent < 20_000_000
        served.node.put_gate.set()
        with trio.fail_after(20):
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 200")
    assert sent == size
    assert served.node.taken == size
