"""What a requester remembers of peers: bounded by what it keeps open, whoever comes along."""

# ruff: noqa: ARG001 - the clock works by being asked for.

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from p2pnode.errors import PeerUnavailableError
from p2pnode.network import limits
from tests.network.test_requests import PROTOCOL, QUESTION, honest, make, says
from wire.ids import PeerId
from wire.messages import SliverData


async def test_nothing_is_remembered_of_ever_new_peers_beyond_the_streams_that_are_kept(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    monkeypatch.setattr(limits, "IDLE_STREAMS_MAX", 8)
    async with trio.open_nursery() as nursery:
        requester, _ = make(nursery, honest())
        for number in range(40):
            stranger = PeerId(number.to_bytes(PeerId.length, "big"))
            await requester.request(stranger, PROTOCOL, QUESTION, expect=(SliverData,))
            assert requester.peer_count <= 8
            await trio.sleep(limits.IDLE_STREAM_S / 5)
        assert requester.peer_count == requester.kept_count > 0
        await requester.aclose()
        assert requester.peer_count == 0


async def test_nothing_is_remembered_of_peers_that_never_answered(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        requester, _ = make(nursery, says())
        for number in range(20):
            stranger = PeerId(number.to_bytes(PeerId.length, "big"))
            with pytest.raises(PeerUnavailableError):
                await requester.request(stranger, PROTOCOL, QUESTION, expect=(SliverData,))
        assert requester.peer_count == 0
