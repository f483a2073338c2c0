"""Which addresses are read, dialled and announced."""

from __future__ import annotations

import pytest

from crypto.peer_id import peer_id_of, peer_id_to_text
from p2pnode.config import HOME, PUBLIC
from p2pnode.errors import CallerError
from p2pnode.network.addresses import (
    announceable,
    dialable,
    endpoint_of,
    interface_addresses,
    parse_announced,
    parse_bootstrap,
    parse_listened,
    with_extra,
)
from wire import limits as wire_limits

PEER_TEXT = peer_id_to_text(peer_id_of(bytes(32)))


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
    private = dialable(said, allows_private=True, count_max=8)
    assert len(private) == 5
    assert "/ip6/fe80::1/tcp/1" not in [endpoint.text() for endpoint in private], "it names no cable"
    assert len(dialable(said, allows_private=True, count_max=2)) == 2


@pytest.mark.parametrize(
    "address",
    [
        "/ip4/127.0.0.1/tcp/1",
        "/ip4/10.0.0.1/tcp/1",
        "/ip4/172.16.0.1/tcp/1",
        "/ip4/192.168.0.1/tcp/1",
        "/ip4/169.254.169.254/tcp/80",
        "/ip4/100.64.0.1/tcp/1",
        "/ip4/100.127.255.255/tcp/1",
        "/ip6/::1/tcp/1",
        "/ip6/fe80::1/tcp/1",
        "/ip6/fc00::1/tcp/1",
        "/ip6/fd12:3456::1/tcp/1",
        "/ip6/::ffff:127.0.0.1/tcp/1",
        f"/ip4/192.168.0.1/tcp/1/p2p/{PEER_TEXT}/p2p-circuit",
    ],
)
def test_no_address_that_means_another_machine_elsewhere_is_dialled_in_public(address: str) -> None:
    assert not PUBLIC.dials_private_addresses
    assert not HOME.dials_private_addresses
    assert dialable([address], allows_private=False, count_max=8) == []


def test_an_unspecified_address_is_announced_as_the_interfaces_of_its_family() -> None:
    interfaces = ["8.8.4.4", "192.168.0.7", "2001:4860::7", "127.0.0.1", "::1"]
    everywhere = [endpoint_of("0.0.0.0", 7), endpoint_of("::", 8)]  # noqa: S104 - it is what the claim is about
    assert announceable(everywhere, interfaces, allows_private=False) == (
        "/ip4/8.8.4.4/tcp/7",
        "/ip6/2001:4860::7/tcp/8",
    )
    assert "/ip4/192.168.0.7/tcp/7" in announceable(everywhere, interfaces, allows_private=True)
    assert announceable([endpoint_of("127.0.0.1", 7)], interfaces, allows_private=False) == ("/ip4/127.0.0.1/tcp/7",)


def test_link_local_addresses_are_never_announced() -> None:
    interfaces = ["fe80::7", "169.254.3.3", "fd00::7"]
    everywhere = [endpoint_of("0.0.0.0", 7), endpoint_of("::", 8), endpoint_of("fe80::9", 9)]  # noqa: S104 - as above
    for allows_private in (False, True):
        assert announceable(everywhere, interfaces, allows_private=allows_private) == ("/ip6/fd00::7/tcp/8",)


@pytest.mark.parametrize(
    ("text", "what_to_write"),
    [
        ("/ip4/0.0.0.0/tcp/4711", "such as /ip4/203.0.113.7/tcp/4711, or leave --announce out"),
        ("/ip6/::/tcp/0", "write your public address"),
        ("/ip4/8.8.8.8/tcp/0", "write the port that others reach"),
        ("/dns4/node.example/tcp/0", "write the port that others reach"),
        ("/ip6/fe80::1/tcp/4710", "link-local"),
        ("8.8.8.8:4710", "write it as /ip4/203.0.113.7/tcp/4710"),
        ("/dns4/my node/tcp/4710", "no host name"),
        (f"/ip4/8.8.8.8/tcp/4710/p2p/{PEER_TEXT}", "without /p2p/"),
    ],
)
def test_what_nobody_could_dial_is_not_announced_and_the_error_says_what_to_write(
    text: str, what_to_write: str
) -> None:
    with pytest.raises(CallerError, match="cannot announce") as raised:
        parse_announced(text)
    assert what_to_write in str(raised.value)


@pytest.mark.parametrize("text", ["/ip4/8.8.8.8/tcp/4710", "/ip4/192.168.0.7/tcp/1", "/dns4/node.example/tcp/4710"])
def test_what_the_user_knows_better_is_announced_as_it_is(text: str) -> None:
    assert parse_announced(text).text() == text


@pytest.mark.parametrize(
    ("text", "what_to_write"), [("4710", "/ip4/0.0.0.0/tcp/4710"), ("/dns4/node.example/tcp/4710", "an IP address")]
)
def test_a_bad_address_to_listen_on_says_what_to_write(text: str, what_to_write: str) -> None:
    with pytest.raises(CallerError, match="listen on") as raised:
        parse_listened(text)
    assert what_to_write in str(raised.value)


def test_extra_addresses_are_added_once_and_never_cut_off() -> None:
    own = [f"/ip4/10.0.0.{number}/tcp/1" for number in range(wire_limits.ADDRESSES_MAX)]
    assert with_extra(own[:2], [own[0], "/ip4/8.8.8.8/tcp/1"]) == (own[0], own[1], "/ip4/8.8.8.8/tcp/1")
    full = with_extra(own, ["/ip4/8.8.8.8/tcp/1"])
    assert len(full) == wire_limits.ADDRESSES_MAX
    assert full[-1] == "/ip4/8.8.8.8/tcp/1"
    assert with_extra(own, ()) == tuple(own)


def test_this_machine_has_addresses_and_none_is_unspecified() -> None:
    found = interface_addresses()
    assert "127.0.0.1" in found
    assert not {"0.0.0.0", "::"} & set(found)  # noqa: S104 - it is what the claim is about


def test_a_circuit_over_our_own_relay_is_dialled_and_one_over_a_private_relay_only_where_those_are() -> None:
    circuit = f"/ip4/8.8.8.8/tcp/4710/p2p/{PEER_TEXT}/p2p-circuit"
    at_home = f"/ip4/192.168.1.7/tcp/4710/p2p/{PEER_TEXT}/p2p-circuit"
    found = dialable([circuit, at_home], allows_private=False, own=[circuit], count_max=8)
    assert [each.text() for each in found] == [circuit], "all who are behind one relay have the same address"


def test_a_bootstrap_address_may_lead_through_a_relay() -> None:
    circuit = f"/ip4/8.8.8.8/tcp/4710/p2p/{PEER_TEXT}/p2p-circuit"
    address, peer_id = parse_bootstrap(f"{circuit}/p2p/{PEER_TEXT}")
    assert address.text() == circuit
    assert peer_id == peer_id_of(bytes(32))
