"""Which texts are endpoints, and what an endpoint says of itself."""

from __future__ import annotations

import pytest

from p2pnode.membership.endpoints import BadAddressError, endpoint_of, parse_endpoint
from wire import limits


@pytest.mark.parametrize(
    "text",
    [
        "/ip4/192.0.2.7/tcp/4710",
        "/ip6/2001:db8::7/tcp/65535",
        "/dns4/node.example/tcp/1",
        "/dns6/node-1.example./tcp/1",
        "/dns/localhost/tcp/1",
    ],
)
def test_an_endpoint_is_read_and_written_unchanged(text: str) -> None:
    assert parse_endpoint(text).text() == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/ip4/192.0.2.7",
        "/ip4/192.0.2.7/udp/1",
        "/ip4/192.0.2.7/tcp/65536",
        "/ip4/192.0.2.7/tcp/-1",
        "/ip4/192.0.2.7/tcp/٣",
        "/ip4/192.0.2.300/tcp/1",
        "/ip4/::1/tcp/1",
        "/ip6/fe80::1%eth0/tcp/1",
        "/unix/x/tcp/1",
        "/dns//tcp/1",
        "/dns/-x/tcp/1",
        "/dns/my host/tcp/1",
        "/dns/knöten.example/tcp/1",
        "x/ip4/192.0.2.7/tcp/1",
        "/ip4/192.0.2.7/tcp/1/p2p/x",
        "/dns/" + "x" * limits.ADDRESS_CHARS_MAX + "/tcp/1",
    ],
)
def test_what_is_no_endpoint_raises(text: str) -> None:
    with pytest.raises(BadAddressError):
        parse_endpoint(text)


def test_mapped_addresses_count_as_what_they_map() -> None:
    assert endpoint_of("::ffff:192.0.2.7", 1).text() == "/ip4/192.0.2.7/tcp/1"
    assert endpoint_of("2001:db8::7", 1).text() == "/ip6/2001:db8::7/tcp/1"


def test_the_name_of_an_interface_is_no_part_of_an_address() -> None:
    assert endpoint_of("fe80::1%eth0", 1).text() == "/ip6/fe80::1/tcp/1"


@pytest.mark.parametrize(
    ("text", "is_unspecified", "is_link_local", "is_private"),
    [
        ("/ip4/8.8.8.8/tcp/1", False, False, False),
        ("/ip4/8.8.8.8/tcp/0", True, False, False),
        ("/ip4/0.0.0.0/tcp/1", True, False, True),
        ("/ip6/::/tcp/1", True, False, True),
        ("/ip4/127.0.0.1/tcp/1", False, False, True),
        ("/ip4/192.168.0.1/tcp/1", False, False, True),
        ("/ip4/169.254.1.1/tcp/1", False, True, True),
        ("/ip6/fe80::1/tcp/1", False, True, True),
        ("/ip6/fd00::1/tcp/1", False, False, True),
        ("/ip6/2001:4860::1/tcp/1", False, False, False),
        ("/dns4/node.example/tcp/1", False, False, False),
    ],
)
def test_an_endpoint_knows_how_far_it_reaches(
    text: str,
    *,
    is_unspecified: bool,
    is_link_local: bool,
    is_private: bool,
) -> None:
    endpoint = parse_endpoint(text)
    assert (endpoint.is_unspecified, endpoint.is_link_local, endpoint.is_private) == (
        is_unspecified,
        is_link_local,
        is_private,
    )
