"""Who may ask, and that every answer is JSON."""

from __future__ import annotations

import pytest
import trio

from tests.api.conftest import Served, read_until_cut

PATHS = ["/v1/node", "/v1/peers", "/v1/blobs/x", "/v1/transfers/x", "/nothing"]


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer 0123456789abcdeF", "0123456789abcdef", "Bearer \xff"])
async def test_without_the_token_nothing_is_answered(served: Served, authorization: str) -> None:
    for path in PATHS:
        answer = await served.client.get(path, headers=[(b"Authorization", authorization.encode("latin-1"))])
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json()["error"]["reason"] == "UNAUTHORIZED"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "127.0.0.1@evil.example", "127.0.0.2", ""])
async def test_a_foreign_host_is_refused_even_with_the_token(served: Served, host: str) -> None:
    answer = await served.client.get("/v1/node", headers={"Host": host})
    assert answer.status_code == 421
    assert answer.json()["error"]["reason"] == "FOREIGN_HOST"


async def test_own_hosts_are_accepted(served: Served) -> None:
    for host in ("127.0.0.1", "localhost:80", "LOCALHOST", "[::1]:4000", "127.0.0.1:1"):
        assert (await served.client.get("/v1/node", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "reason"),
    [
        ("GET", "/", 404, "NOT_FOUND"),
        ("GET", "/docs", 404, "NOT_FOUND"),
        ("GET", "/openapi.json", 404, "NOT_FOUND"),
        ("GET", "/v1/blobs", 405, "METHOD_NOT_ALLOWED"),
        ("DELETE", "/v1/node", 405, "METHOD_NOT_ALLOWED"),
        ("PUT", "/v1/blobs?shards=3", 400, "BAD_REQUEST"),
        ("PUT", "/v1/blobs?shards=1001", 400, "BAD_REQUEST"),
        ("PUT", "/v1/blobs?shards=many", 400, "BAD_REQUEST"),
        ("GET", "/v1/blobs/nonsense", 400, "BAD_REFERENCE"),
        ("GET", "/v1/blobs/nonsense/status", 400, "BAD_REFERENCE"),
        ("GET", "/v1/transfers/unknown", 404, "NO_TRANSFER"),
    ],
)
async def test_wrong_requests_are_told_as_problems(
    served: Served, method: str, path: str, status: int, reason: str
) -> None:
    answer = await served.client.request(method, path)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert error["reason"] == reason
    assert set(error) == {"reason", "message", "exit_code"}
    assert "\n" not in error["message"]


async def test_a_bug_is_told_without_its_text(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(served.node, "info", broken)
    answer = await served.client.get("/v1/node")
    assert answer.status_code == 500
    assert answer.json()["error"]["reason"] == "INTERNAL"
    assert "secret" not in answer.text


async def test_a_refused_upload_reads_a_bounded_part_of_the_body_and_answers(served: Served) -> None:
    """The whole answer comes while the body is still under way, and the server does not wait for all of it."""
    async with await served.connect() as stream:
        head = "PUT /v1/blobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\n"
        await stream.send_all(head.encode() + bytes(1000))
        answer = await read_until_cut(stream)
    assert answer.startswith(b"HTTP/1.1 401")
    assert b"UNAUTHORIZED" in answer
    assert served.node.asked == []


async def test_a_websocket_is_refused(served: Served) -> None:
    async with await served.connect() as stream:
        await stream.send_all(
            b"GET /v1/node HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        assert (await read_until_cut(stream)).startswith(b"HTTP/1.1 403")


async def test_garbage_ends_its_connection_only(served: Served) -> None:
    async with await served.connect() as stream:
        await stream.send_all(b"\x00\x01\x02 garbage\r\n\r\n")
        await read_until_cut(stream)
    assert (await served.client.get("/v1/node")).status_code == 200


async def test_many_requests_pass_over_one_connection(served: Served) -> None:
    async with await served.connect() as stream:
        await stream.send_all(b"GET /v1/node HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3)
        data = b""
        with trio.fail_after(10):
            while data.count(b"HTTP/1.1 401") < 3:
                data += await stream.receive_some()
