"""Which addresses are read, dialled and announced."""

from __future__ import annotations

import pytest

from crypto.peer_id import peer_id_of, peer_id_to_text
from p2pnode.errors import CallerError
from p2pnode.network.addresses import (
    BadAddressError,
    announceable,
    dialable,
    endpoint_of,
    interface_addresses,
    parse_bootstrap,
    parse_endpoint,
)
from wire import limits as wire_limits

PEER_TEXT = peer_id_to_text(peer_id_of(bytes(32)))


@pytest.mark.parametrize(
    "text",
    ["/ip4/192.0.2.7/tcp/4710", "/ip6/2001:db8::7/tcp/65535", "/dns4/node.example/tcp/1", "/dns/node.example/tcp/1"],
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
        "x/ip4/192.0.2.7/tcp/1",
        "/ip4/192.0.2.7/tcp/1/p2p/x",
        "/dns/" + "x" * wire_limits.ADDRESS_CHARS_MAX + "/tcp/1",
    ],
)
def test_what_is_no_endpoint_raises(text: str) -> None:
    with pytest.raises(BadAddressError):
        parse_endpoint(text)


def test_a_bootstrap_address_has_an_endpoint_and_a_peer() -> None:
    endpoint, peer_id = parse_bootstrap(f"/ip4/192.0.2.7/tcp/4710/p2p/{PEER_TEXT}")
    assert endpoint.text() == "/ip4/192.0.2.7/tcp/4710"
    assert peer_id == peer_id_of(bytes(32))


@pytest.mark.parametrize(
    "text", ["", "/ip4/192.0.2.7/tcp/4710", f"/p2p/{PEER_TEXT}", "/ip4/192.0.2.7/tcp/1/p2p/me", "192.0.2.7:4710"]
)
def test_a_bad_bootstrap_address_says_what_is_expected(text: str) -> None:
    with pytest.raises(CallerError, match="expected /ip4/<address>/tcp/<port>/p2p/<peer id>"):
        parse_bootstrap(text)


def test_only_what_is_worth_it_is_dialled() -> None:
    said = [
        "garbage",
        "/ip4/0.0.0.0/tcp/1",
        "/ip6/::/tcp/1",
        "/ip4/8.8.8.8/tcp/0",
        "/ip4/127.0.0.1/tcp/1",
        "/ip4/192.168.0.1/tcp/1",
        "/ip6/fe80::1/tcp/1",
        "/ip4/8.8.8.8/tcp/1",
        "/ip4/8.8.8.8/tcp/1",
        "/ip4/9.9.9.9/tcp/1",
        "/dns4/node.example/tcp/1",
    ]
    public = dialable(said, allows_private=False, own=["/ip4/9.9.9.9/tcp/1"], count_max=8)
    assert [endpoint.text() for endpoint in public] == ["/ip4/8.8.8.8/tcp/1", "/dns4/node.example/tcp/1"]
    assert len(dialable(said, allows_private=True, count_max=8)) == 6
    assert len(dialable(said, allows_private=True, count_max=2)) == 2


def test_an_unspecified_address_is_announced_as_the_interfaces_of_its_family() -> None:
    interfaces = ["8.8.4.4", "192.168.0.7", "2001:4860::7", "127.0.0.1", "::1"]
    everywhere = [endpoint_of("0.0.0.0", 7), endpoint_of("::", 8)]  # noqa: S104 - it is what the claim is about
    assert announceable(everywhere, interfaces, allows_private=False) == (
        "/ip4/8.8.4.4/tcp/7",
        "/ip6/2001:4860::7/tcp/8",
    )
    assert "/ip4/192.168.0.7/tcp/7" in announceable(everywhere, interfaces, allows_private=True)
    assert announceable([endpoint_of("127.0.0.1", 7)], interfaces, allows_private=False) == ("/ip4/127.0.0.1/tcp/7",)


def test_mapped_addresses_count_as_what_they_map() -> None:
    assert endpoint_of("::ffff:192.0.2.7", 1).text() == "/ip4/192.0.2.7/tcp/1"


def test_this_machine_has_addresses_and_none_is_unspecified() -> None:
    found = interface_addresses()
    assert "127.0.0.1" in found
    assert not {"0.0.0.0", "::"} & set(found)  # noqa: S104 - it is what the claim is about
