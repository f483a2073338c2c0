"""GET: the bytes come as they were, or the transfer breaks and its reason can be asked for."""

from __future__ import annotations

import random

import httpx
import pytest
import trio
import trio.testing

from p2pnode.errors import HoldersSilentError, IntegrityError, P2PNodeError, TooFewPairsError
from tests.api.conftest import TOKEN, Served, read_until_cut
from tests.api.fake_node import PEER_ID, reference_of
from tests.api.test_uploads import outcome

NAME = "download-0123456789"


def keep(served: Served, data: bytes) -> str:
    """Let the node have these bytes already; return their path."""
    reference = reference_of(data)
    served.node.blobs[reference] = data
    return f"/v1/blobs/{reference}"


@pytest.mark.parametrize("size", [0, 1, 262_144, 3_000_001])
async def test_what_was_put_comes_back(served: Served, rng: random.Random, size: int) -> None:
    data = rng.randbytes(size)
    answer = await served.client.get(keep(served, data), headers={"P2PNode-Transfer": NAME})
    assert answer.status_code == 200
    assert answer.headers["content-length"] == str(size)
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.content == data
    assert (await outcome(served, NAME))["state"] == "done"


async def test_an_unknown_id_is_404(served: Served) -> None:
    answer = await served.client.get(f"/v1/blobs/{reference_of(b'unknown')}")
    assert answer.status_code == 404
    assert answer.json()["error"]["exit_code"] == 4


@pytest.mark.parametrize(("error", "status"), [(TooFewPairsError("3 of 4"), 503), (HoldersSilentError("2"), 504)])
async def test_an_error_before_the_first_byte_has_its_status(served: Served, error: P2PNodeError, status: int) -> None:
    served.node.get_error = error
    answer = await served.client.get(keep(served, b"data"), headers={"P2PNode-Transfer": NAME})
    assert (answer.status_code, answer.json()["error"]["reason"]) == (status, error.reason)
    assert (await outcome(served, NAME))["error"] == answer.json()["error"]


@pytest.mark.parametrize("given", [0, 1_000_000, 2_000_000], ids=["at the start", "in the middle", "at the very end"])
async def test_an_error_after_the_headers_breaks_the_transfer(served: Served, given: int) -> None:
    """Also when every byte had been given: only the node's good end makes the last piece go out."""
    served.node.get_error, served.node.get_error_after = IntegrityError("the file's hash differs"), given
    path = keep(served, bytes(2_000_000))
    received = 0
    with pytest.raises(httpx.RemoteProtocolError):  # noqa: PT012 - the break comes anywhere in the block
        async with served.client.stream("GET", path, headers={"P2PNode-Transfer": NAME}) as answer:
            assert answer.status_code == 200
            async for chunk in answer.aiter_raw():
                received += len(chunk)
    assert received < 2_000_000
    assert (await outcome(served, NAME))["error"] == {
        "reason": "INTEGRITY",
        "message": "the file's hash differs",
        "exit_code": 7,
    }


@pytest.mark.parametrize("difference", [-1, 1])
async def test_a_node_that_gives_a_wrong_number_of_bytes_breaks_the_transfer(
    served: Served, monkeypatch: pytest.MonkeyPatch, difference: int
) -> None:
    path = keep(served, bytes(500_000))
    true_chunks = served.node._chunks
    monkeypatch.setattr(served.node, "_chunks", lambda data: true_chunks(bytes(len(data) + difference)))
    with pytest.raises(httpx.RemoteProtocolError):
        await served.client.get(path, headers={"P2PNode-Transfer": NAME})
    error = (await outcome(served, NAME))["error"]
    assert isinstance(error, dict)
    assert error["reason"] == "WRONG_LENGTH"


async def test_a_client_that_leaves_cancels_its_read(served: Served) -> None:
    path = keep(served, bytes(50_000_000))
    async with await served.connect() as stream:
        await stream.send_all(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
            f"P2PNode-Transfer: {NAME}\r\n\r\n".encode()
        )
        await stream.receive_some()
    with trio.fail_after(10):
        await served.node.cancelled.wait()
    error = (await outcome(served, NAME))["error"]
    assert isinstance(error, dict)
    assert error["reason"] == "CLIENT_GONE"


async def test_stopping_cuts_a_download_that_nobody_reads(served: Served) -> None:
    path = keep(served, bytes(50_000_000))
    async with await served.connect() as stream:
        await stream.send_all(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()
        )
        await trio.testing.wait_all_tasks_blocked(0.3)  # Every buffer is full now.
        served.scope.cancel()
        with trio.fail_after(2):
            await served.ended.wait()
        assert len(await read_until_cut(stream)) < 50_000_000


async def test_status_peers_and_node_are_told_exactly(served: Served) -> None:
    path = keep(served, b"data")
    assert (await served.client.get(f"{path}/status")).json() == {
        "id": reference_of(b"data"),
        "kind": "blob",
        "size": 4,
        "n": 10,
        "healthy": 9,
        "reachable": 8,
        "shards_to_read": 4,
        "certified": True,
        "lease_end": 1_900_000_000,
        "segments": 1,
        "stored_bytes": 6620,
        "nodes": 9,
        "domains": 8,
        "nodes_that_may_fail": 3,
        "domains_that_may_fail": 2,
    }
    assert (await served.client.get("/v1/peers")).json() == {
        "peers": [
            {
                "peer_id": PEER_ID,
                "state": "active",
                "addresses": ["/ip4/192.0.2.7/tcp/4710"],
                "connected": True,
                "seconds_since_contact": 2.5,
                "fresh": True,
                "capacity_bytes": 1000,
                "free_bytes": 400,
                "software": "p2pnode/0.1.0",
                "score": 0.951,
                "trust": "full",
                "domain": "192.0.2.0/24",
                "vetted": True,
                "receipts_of_it": 12,
                "receipts_by_it": 9,
            }
        ],
        "refused": {},
    }
    assert (await served.client.get("/v1/node")).json() == {
        "peer_id": PEER_ID,
        "network": "test",
        "profile": "testnet",
        "addresses": ["/ip4/127.0.0.1/tcp/4710"],
        "version": "0.1.0",
        "members": 1,
        "connected": 1,
        "quota_bytes": 1000,
        "used_bytes": 600,
        "uptime_s": 3.0,
        "reach": "unknown",
        "frozen": False,
        "restored": False,
        "committed_epoch": None,
        "committed_pairs": None,
    }


async def test_a_reference_may_be_quoted_in_the_path(served: Served) -> None:
    answer = await served.client.get("/v1/blobs/file%3A" + reference_of(b"unknown") + "/status")
    assert answer.status_code == 404
