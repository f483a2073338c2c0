"""Port mapping: opened by the first router that can, renewed in time, given back at the stop; and UPnP on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import trio
from trio.testing import MockClock

from p2pnode.network import router_limits as limits
from p2pnode.network.addresses import Endpoint, parse_endpoint
from p2pnode.network.port_mapping import RouterPortMapper
from p2pnode.network.router import Opened, RouterError
from p2pnode.network.upnp import UpnpRouter
from p2pnode.protocols.reach import MappingState
from p2pnode.system import SystemClock
from tests.network.fake_gateway import UpnpGateway
from tests.network.lab import DEADLINE_S, until

LAN = "/ip4/192.168.0.7/tcp/4710"
OUTER = parse_endpoint("/ip4/8.8.4.4/tcp/4711")


@dataclass
class FakeRouter:
    """A router in memory."""

    name: str = "fake"
    outer: Endpoint = OUTER
    error: Exception | None = None
    is_silent: bool = False
    opened: list[tuple[float, str]] = field(default_factory=list)
    is_open: bool = False
    closed: int = 0

    async def open(self, local: Endpoint, *, lifetime_s: int) -> Opened:
        """Open, or fail as told."""
        self.opened.append((trio.current_time(), local.text()))
        if self.is_silent:
            await trio.sleep_forever()
        if self.error is not None:
            raise self.error
        self.is_open = True
        return Opened(self.outer, lifetime_s)

    async def close(self) -> None:
        """Close."""
        self.closed += self.is_open
        self.is_open = False
        if self.is_silent:
            await trio.sleep_forever()


def state_of(mapper: RouterPortMapper) -> MappingState:
    return mapper.mapping.state


@asynccontextmanager
async def mapping(
    *routers: FakeRouter | UpnpRouter, addresses: Callable[[], list[str]] = lambda: [LAN]
) -> AsyncIterator[RouterPortMapper]:
    mapper = RouterPortMapper(routers, SystemClock())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(mapper.run, addresses)
        yield mapper
        nursery.cancel_scope.cancel()


async def test_a_port_is_mapped_by_the_first_router_that_can(autojump_clock: MockClock) -> None:
    del autojump_clock
    broken, good, unused = FakeRouter("a", error=RouterError("no")), FakeRouter("b"), FakeRouter("c")
    async with mapping(broken, good, unused) as mapper:
        assert state_of(mapper) is MappingState.SEARCHING
        await trio.sleep(1)
        assert state_of(mapper) is MappingState.MAPPED
        assert (mapper.mapping.address, mapper.mapping.local) == (OUTER.text(), LAN)
        assert unused.opened == []
        broken.error = None
        await trio.sleep(limits.MAPPING_LIFETIME_S)
        assert len(good.opened) > 1, "the one that works is asked again"
        assert (len(broken.opened), good.closed) == (1, 0)
    assert good.closed == 1, "it was given back"


async def test_a_mapping_is_renewed_before_it_ends(autojump_clock: MockClock) -> None:
    del autojump_clock
    router = FakeRouter()
    async with mapping(router) as mapper:
        await trio.sleep(5 * limits.MAPPING_LIFETIME_S)
        gaps = [later - earlier for (earlier, _), (later, _) in zip(router.opened, router.opened[1:], strict=False)]
        assert len(gaps) > 5
        assert max(gaps) < 0.6 * limits.MAPPING_LIFETIME_S
        assert state_of(mapper) is MappingState.MAPPED
        assert router.closed == 0, "a renewal never closes the port in between"


async def test_a_mapping_that_ran_out_while_the_machine_slept_is_opened_again_at_once(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    del autojump_clock
    router, asleep = FakeRouter(), 100.0
    monkeypatch.setattr(SystemClock, "asleep", lambda _clock: asleep)
    async with mapping(router):
        await trio.sleep(limits.MAPPING_LIFETIME_S / 10)
        assert len(router.opened) == 1
        asleep += limits.MAPPING_LIFETIME_S
        await trio.sleep(2 * limits.MAPPING_LOOK_S)
        assert len(router.opened) == 2


async def test_a_new_address_of_ours_is_mapped_soon(autojump_clock: MockClock) -> None:
    del autojump_clock
    router, ours = FakeRouter(), [LAN]
    async with mapping(router, addresses=lambda: ours) as mapper:
        await trio.sleep(1)
        ours[0] = "/ip4/192.168.0.8/tcp/4710"
        await trio.sleep(2 * limits.MAPPING_LOOK_S)
        assert mapper.mapping.local == ours[0]


@pytest.mark.parametrize(
    "ours",
    [
        ["/ip4/127.0.0.1/tcp/4710"],
        ["/ip6/fd00::7/tcp/4710"],
        ["/ip4/9.9.9.9/tcp/4710", LAN],
        [],
    ],
    ids=["loopback", "IPv6", "a public address", "nothing"],
)
async def test_a_router_is_never_asked_where_none_is_needed(autojump_clock: MockClock, ours: list[str]) -> None:
    del autojump_clock
    router = FakeRouter()
    async with mapping(router, addresses=lambda: ours) as mapper:
        await trio.sleep(limits.MAPPING_RETRY_S * 3)
        assert state_of(mapper) is MappingState.OFF
    assert router.opened == []


async def test_without_a_router_it_says_why_and_tries_again_later(autojump_clock: MockClock) -> None:
    del autojump_clock
    one, other = FakeRouter("NAT-PMP", error=RouterError("no answer")), FakeRouter("UPnP", error=RouterError("nobody"))
    async with mapping(one, other) as mapper:
        await trio.sleep(1)
        assert state_of(mapper) is MappingState.FAILED
        assert mapper.mapping.detail == "NAT-PMP: no answer; UPnP: nobody"
        one.error = None
        await trio.sleep(limits.MAPPING_RETRY_S + limits.MAPPING_LOOK_S)
        assert state_of(mapper) is MappingState.MAPPED


async def test_a_router_that_never_answers_holds_up_neither_the_others_nor_the_stop(autojump_clock: MockClock) -> None:
    del autojump_clock
    silent, good = FakeRouter("a", is_silent=True), FakeRouter("b")
    async with mapping(silent, good) as mapper:
        await trio.sleep(3 * limits.ROUTER_S)
        assert state_of(mapper) is MappingState.MAPPED
        good.is_silent = True
        stopped_at = trio.current_time()
    assert good.closed == 1
    assert trio.current_time() - stopped_at <= limits.ROUTER_CLOSE_S


async def test_a_router_without_a_public_address_is_no_use_and_the_port_is_given_back(
    autojump_clock: MockClock,
) -> None:
    del autojump_clock
    router = FakeRouter(outer=parse_endpoint("/ip4/100.64.0.7/tcp/4710"))
    async with mapping(router) as mapper:
        await trio.sleep(1)
        assert state_of(mapper) is MappingState.FAILED
        assert "100.64.0.7 is not public" in mapper.mapping.detail
        assert router.closed == 1


async def test_a_bug_in_one_way_leaves_the_others(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    del autojump_clock
    async with mapping(FakeRouter("a", error=ValueError("bug")), FakeRouter("b")) as mapper:
        await trio.sleep(1)
        assert state_of(mapper) is MappingState.MAPPED
    assert "asking the router by a failed" in caplog.text


def upnp() -> UpnpRouter:
    return UpnpRouter(interface="127.0.0.1", discover_ms=300)


async def test_upnp_opens_a_port_and_gives_it_back() -> None:
    gateway = UpnpGateway()
    with trio.fail_after(DEADLINE_S), gateway.running():
        async with mapping(upnp()) as mapper:
            await until(lambda: state_of(mapper) is not MappingState.SEARCHING)
            assert state_of(mapper) is MappingState.MAPPED, mapper.mapping.detail
            assert mapper.mapping.address == "/ip4/8.8.4.4/tcp/4710"
            assert gateway.mappings == {4710: ("192.168.0.7", 4710, limits.MAPPING_LIFETIME_S)}
        assert gateway.mappings == {}


async def test_upnp_takes_the_next_port_when_one_is_taken_and_keeps_it() -> None:
    gateway = UpnpGateway(taken=frozenset({4710, 4711}))
    with trio.fail_after(DEADLINE_S), gateway.running():
        router = upnp()
        for _ in range(2):
            opened = await router.open(parse_endpoint(LAN), lifetime_s=3600)
            assert opened.outer.text() == "/ip4/8.8.4.4/tcp/4712"
        gateway.taken = frozenset()
        assert (await router.open(parse_endpoint(LAN), lifetime_s=3600)).outer.port == 4712, "others know this one"
        await router.close()
        await router.close()
        assert gateway.mappings == {}


async def test_upnp_copes_with_old_routers_and_says_what_a_router_refuses() -> None:
    gateway = UpnpGateway(only_permanent=True)
    with trio.fail_after(DEADLINE_S), gateway.running():
        await upnp().open(parse_endpoint(LAN), lifetime_s=3600)
        assert gateway.mappings == {4710: ("192.168.0.7", 4710, 0)}
        gateway.taken = frozenset(range(4710, 4710 + limits.EXTERNAL_PORTS_TRIED_MAX))
        with pytest.raises(RouterError, match="ConflictInMappingEntry"):
            await upnp().open(parse_endpoint(LAN), lifetime_s=3600)


async def test_upnp_without_a_router_is_an_error_that_says_so() -> None:
    with trio.fail_after(DEADLINE_S):
        with pytest.raises(RouterError, match=r"no router (answered|that opens ports)"):
            await upnp().open(parse_endpoint(LAN), lifetime_s=3600)
