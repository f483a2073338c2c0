"""The listening socket and the limits of connections."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from p2pnode.api import server
from p2pnode.api.server import bind, url_of
from p2pnode.errors import CallerError, PortInUseError
from tests.api.conftest import Served, read_until_cut
from tests.api.test_downloads import keep
from tests.capabilities import requires


@pytest.mark.parametrize(
    "address", ["0.0.0.0:0", "192.0.2.7:80", "example.org:80", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:65536", ":80", ""]
)
def test_the_api_listens_on_loopback_only(address: str) -> None:
    with pytest.raises(CallerError):
        bind(address)


def test_a_port_in_use_is_told() -> None:
    with bind("127.0.0.1:0") as first, pytest.raises(PortInUseError, match="--api"):
        bind(f"localhost:{first.getsockname()[1]}")


def test_the_url_has_the_real_port() -> None:
    with bind("127.0.0.1:0") as listener:
        assert url_of(listener) == f"http://127.0.0.1:{listener.getsockname()[1]}"


@requires("ipv6")
def test_the_url_of_ipv6_has_brackets() -> None:
    with bind("[::1]:0") as listener:
        assert url_of(listener) == f"http://[::1]:{listener.getsockname()[1]}"


async def test_connections_beyond_connections_max_are_closed_at_once(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "CONNECTIONS_MAX", 2)
    async with await served.connect() as first, await served.connect():
        await trio.testing.wait_all_tasks_blocked(0.05)
        async with await served.connect() as third:
            assert await read_until_cut(third) == b""
        await first.send_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await first.receive_some()).startswith(b"HTTP/1.1 401")


async def test_a_client_that_stops_reading_is_cut_after_the_stall_time(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "SEND_STALL_S_MAX", 0.2)
    data = bytes(50_000_000)
    async with await served.connect() as stream:
        path = keep(served, data)
        await stream.send_all(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer 0123456789abcdef\r\n\r\n".encode()
        )
        with trio.fail_after(10):
            await served.node.cancelled.wait()
        assert len(await read_until_cut(stream)) < len(data)
