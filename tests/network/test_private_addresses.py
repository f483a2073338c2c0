"""Whoever writes addresses or names into a member record cannot make a node of a public network dial its own LAN."""

from __future__ import annotations

import random
import socket

import pytest
import trio

from p2pnode.config import PUBLIC
from p2pnode.errors import PeerUnavailableError
from p2pnode.network.addresses import Endpoint, parse_endpoint
from p2pnode.network.tcp_transport import TcpTransport
from p2pnode.network.transport import RawStream
from tests.network.lab import make_network, running

NAME = parse_endpoint("/dns4/rebound.example/tcp/80")
PRIVATE_HOSTS = ("127.0.0.1", "192.168.0.1", "100.64.0.1", "169.254.169.254", "0.0.0.0")  # noqa: S104 - refused


def watch(monkeypatch: pytest.MonkeyPatch, *hosts: str) -> list[str]:
    """Let every name lead to these hosts; return the list of all that are dialled from now on, each in vain."""
    dialled: list[str] = []

    async def getaddrinfo(_host: str, port: int, **_how: int) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        await trio.lowlevel.checkpoint()
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in hosts]

    async def open_tcp_stream(host: str, _port: int) -> trio.SocketStream:
        await trio.lowlevel.checkpoint()
        dialled.append(host)
        raise ConnectionRefusedError

    monkeypatch.setattr(trio.socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(trio, "open_tcp_stream", open_tcp_stream)
    return dialled


async def test_a_name_that_leads_to_private_addresses_is_not_dialled(monkeypatch: pytest.MonkeyPatch) -> None:
    dialled = watch(monkeypatch, *PRIVATE_HOSTS)
    with pytest.raises(OSError, match=r"rebound\.example leads to no public address"):
        await TcpTransport(dials_private_names=False).dial(NAME)
    assert dialled == []


async def test_of_a_name_each_public_address_is_tried_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    dialled = watch(monkeypatch, "10.0.0.1", "8.8.8.8", "9.9.9.9", "8.8.8.8")
    with pytest.raises(ConnectionRefusedError):
        await TcpTransport(dials_private_names=False).dial(NAME)
    assert dialled == ["8.8.8.8", "9.9.9.9"]


async def test_where_private_addresses_are_dialled_a_name_may_lead_to_one(monkeypatch: pytest.MonkeyPatch) -> None:
    dialled = watch(monkeypatch, "127.0.0.1")
    with pytest.raises(ConnectionRefusedError):
        await TcpTransport(dials_private_names=True).dial(NAME)
    assert dialled == ["rebound.example"]


async def test_a_public_node_looks_behind_names_unless_it_is_told_otherwise(
    rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, other = make_network(rng, profile=PUBLIC), make_network(rng)
    dialled = watch(monkeypatch, *PRIVATE_HOSTS)
    with pytest.raises(PeerUnavailableError):
        await network.dial_back(other.peer_id, NAME.text())
    assert dialled == []


class NoTransport(TcpTransport):
    """It opens nothing, and says what it was asked for."""

    def __init__(self) -> None:
        """Nothing was asked for yet."""
        super().__init__()
        self.asked: list[str] = []

    async def dial(self, endpoint: Endpoint) -> RawStream:
        """Refuse."""
        await trio.lowlevel.checkpoint()
        self.asked.append(endpoint.text())
        raise ConnectionRefusedError


async def test_a_record_of_private_addresses_alone_makes_nobody_dial_anything(rng: random.Random) -> None:
    transport = NoTransport()
    network, other = make_network(rng, profile=PUBLIC, transport=transport), make_network(rng)
    async with running(network):
        network.learn_addresses(other.peer_id, [f"/ip4/{host}/tcp/22" for host in PRIVATE_HOSTS])
        with pytest.raises(PeerUnavailableError):
            await network.connect(other.peer_id)
        assert transport.asked == []
        network.learn_addresses(other.peer_id, ["/ip4/192.168.0.1/tcp/1", "/ip4/8.8.8.8/tcp/1"])
        with pytest.raises(PeerUnavailableError):
            await network.connect(other.peer_id)
        assert transport.asked == ["/ip4/8.8.8.8/tcp/1"]
