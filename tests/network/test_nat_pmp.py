"""NAT-PMP: the bytes of RFC 6886, and a conversation with a gateway on loopback."""

from __future__ import annotations

import pytest
import trio

from p2pnode.network.addresses import parse_endpoint
from p2pnode.network.nat_pmp import (
    NatPmpRouter,
    address_request,
    default_gateway,
    map_request,
    read_address,
    read_mapping,
)
from p2pnode.network.router import RouterError
from tests.network.fake_gateway import NatPmpGateway
from tests.network.lab import DEADLINE_S

LOCAL = parse_endpoint("/ip4/192.168.0.7/tcp/4710")

ROUTES = """Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t0000A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
eth0\t00000000\t0100A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
"""


def router_of(gateway: NatPmpGateway) -> NatPmpRouter:
    return NatPmpRouter(gateway=lambda: "127.0.0.1", port=gateway.port)


def test_requests_have_the_bytes_of_the_standard() -> None:
    assert address_request().hex() == "0000"
    request = map_request(internal_port=0x1266, external_port=0x1267, lifetime_s=7200)
    assert request.hex() == "00020000" + "1266" + "1267" + "00001c20"


def test_answers_are_read_from_the_bytes_of_the_standard() -> None:
    assert read_address(bytes.fromhex("00800000" + "00000007" + "08080404")) == "8.8.4.4"
    answer = bytes.fromhex("00820000" + "00000007" + "1266" + "1267" + "00001c20")
    assert read_mapping(answer, internal_port=0x1266) == (0x1267, 7200)
    assert read_mapping(answer, internal_port=0x1265) is None, "it answers another request"


@pytest.mark.parametrize(
    "answer",
    ["", "00", "008000", "01800000" + "00000007" + "08080404", "00820000" + "00000007" + "08080404", "0080" + 6 * "00"],
)
def test_what_answers_something_else_says_nothing(answer: str) -> None:
    assert read_address(bytes.fromhex(answer)) is None
    assert read_mapping(bytes.fromhex(answer), internal_port=1) is None


@pytest.mark.parametrize(("code", "reason"), [(2, "not authorised"), (4, "out of resources"), (77, "code 77")])
def test_a_refusal_says_why(code: int, reason: str) -> None:
    answer = bytes((0, 130, 0, code)) + bytes(12)
    with pytest.raises(RouterError, match=reason):
        read_mapping(answer, internal_port=1)


def test_the_gateway_is_found_in_the_table_of_routes() -> None:
    assert default_gateway(ROUTES) == "192.168.0.1"
    assert default_gateway("\n".join(ROUTES.splitlines()[:2])) is None
    assert default_gateway("") is None
    assert default_gateway(ROUTES.replace("0003", "0001")) is None, "a route without a gateway"
    for wrong in ("eth0\t00000000\t1FFFFFFFFF\t0003\n", "eth0\t00000000\t0101A8C0\tflags\n"):
        assert default_gateway("head\n" + wrong + ROUTES.partition("\n")[2]) == "192.168.0.1", "a line that is no route"


async def test_a_port_is_opened_renewed_and_given_back() -> None:
    gateway = NatPmpGateway()
    with trio.fail_after(DEADLINE_S):
        async with gateway.running():
            router = router_of(gateway)
            for _ in range(2):
                opened = await router.open(LOCAL, lifetime_s=3600)
                assert opened.outer.text() == "/ip4/8.8.4.4/tcp/4711"
                assert opened.lifetime_s == 3600
                assert gateway.mappings == {4710: (4711, 3600)}
            await router.close()
            assert gateway.mappings == {}
            asked = len(gateway.requests)
            await router.close()
            assert len(gateway.requests) == asked, "there is nothing to give back"


async def test_a_lost_datagram_is_sent_again_and_garbage_is_passed_over() -> None:
    gateway = NatPmpGateway(ignores=1, garbage=(b"", b"\0", bytes(16), b"x" * 200))
    with trio.fail_after(DEADLINE_S):
        async with gateway.running():
            opened = await router_of(gateway).open(LOCAL, lifetime_s=3600)
            assert opened.outer.host == "8.8.4.4"


async def test_what_is_not_there_or_says_no_is_an_error_that_says_so() -> None:
    gateway = NatPmpGateway(refuses_with=2)
    with trio.fail_after(DEADLINE_S):
        async with gateway.running():
            with pytest.raises(RouterError, match="not authorised"):
                await router_of(gateway).open(LOCAL, lifetime_s=3600)
        with pytest.raises(RouterError, match="does not listen"):
            await router_of(gateway).open(LOCAL, lifetime_s=3600)
        with pytest.raises(RouterError, match="gateway is not known"):
            await NatPmpRouter(gateway=lambda: None).open(LOCAL, lifetime_s=3600)


async def test_a_gateway_that_never_answers_is_given_up(autojump_clock: trio.testing.MockClock) -> None:
    gateway = NatPmpGateway(ignores=10**6)
    autojump_clock.autojump_threshold = 0.05  # Real datagrams need a moment that virtual time must not jump over.
    async with gateway.running():
        with pytest.raises(RouterError, match="does not answer"):
            await router_of(gateway).open(LOCAL, lifetime_s=3600)
    assert gateway.ignores == 10**6 - 4, "each try is one datagram"
    assert 3.7 < trio.current_time() < 4.5
