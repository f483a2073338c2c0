"""Claims about discovery on a local network: two nodes on one find each other, strangers and garbage do nothing."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from p2pnode.config import HOME, PRIVATE, PUBLIC, TESTNET
from p2pnode.network import lan_discovery, limits
from p2pnode.network.lan_discovery import LanDiscovery, finds_lan_peers
from p2pnode.network.lan_text import hosts_of, make_text, network_mark, read_text
from p2pnode.system import SystemRng
from tests.capabilities import requires
from tests.factories import full_address, network_names, peer_id

REPOSITORY = Path(__file__).parents[2]
FOUND_WITHIN_S = 60.0
"""On an idle machine it takes one or two seconds."""

MARK = network_mark(network_names())
HERE = "/ip4/192.168.1.7/tcp/4710"
OWN = peer_id(100)


def entries(*texts: bytes) -> bytes:
    """Return a text record with these entries."""
    return b"".join(bytes([len(text)]) + text for text in texts)


def address_of(number: int, host: str = "192.168.1.7", port: int = 4710) -> str:
    """Return a peer's address on the local network."""
    return f"/ip4/{host}/tcp/{port}" + full_address(number)[full_address(number).index("/p2p/") :]


# ------------------------------------------------------------------------------------------ text records


def test_what_a_node_says_of_itself_is_read_by_its_network_only() -> None:
    text = make_text(MARK, peer_id(1), [HERE])
    assert read_text(text, mark=MARK, own=OWN) == [address_of(1)]
    assert read_text(text, mark=network_mark(network_names("other")), own=OWN) == []
    assert read_text(text, mark=MARK, own=peer_id(1)) == []
    assert network_names().network.encode() not in text


def test_what_others_on_the_local_network_cannot_dial_is_not_announced() -> None:
    useless = ["/ip4/127.0.0.1/tcp/1", "/ip6/::1/tcp/1", "/ip4/0.0.0.0/tcp/1", "/ip6/fe80::1/tcp/1", "/dns4/a.b/tcp/1"]
    assert hosts_of(useless) == []
    assert read_text(make_text(MARK, peer_id(1), useless), mark=MARK, own=OWN) == []
    assert hosts_of([HERE, "/ip6/2001:db8::1/tcp/1", HERE, "nonsense"]) == ["192.168.1.7", "2001:db8::1"]


def test_an_announcement_has_as_many_addresses_as_are_taken() -> None:
    many = [f"/ip4/192.168.1.{number}/tcp/4710" for number in range(1, 9)]
    found = read_text(make_text(MARK, peer_id(1), many), mark=MARK, own=OWN)
    assert found == [address_of(1, f"192.168.1.{number}") for number in range(1, 1 + limits.LAN_ADDRESSES_MAX)]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\x00",
        b"\xff" * 600,
        entries(b"dnsaddr=" + address_of(1).encode()),  # Of no network.
        entries(b"network=" + MARK.encode()),
        entries(b"network=" + MARK.encode(), b"dnsaddr="),
        entries(b"network=" + MARK.encode(), b"dnsaddr=" + b"\xff" * 200),
        entries(b"network=" + MARK.encode(), b"dnsaddr=" + HERE.encode()),  # Nobody's.
        entries(b"network=" + MARK.encode(), b"dnsaddr=" + address_of(1, "127.0.0.1").encode()),
        entries(b"network=" + MARK.encode(), b"dnsaddr=" + address_of(1, "0.0.0.0").encode()),  # noqa: S104 - nothing is bound
        entries(b"network=" + MARK.encode(), b"dnsaddr=" + address_of(1, "224.0.0.251").encode()),
        entries(b"network=" + MARK.encode(), b"dnsaddr=" + address_of(1, port=0).encode()),
        entries(b"network=" + MARK.encode(), b"dnsaddr=" + address_of(1).replace("ip4", "dns4").encode()),
        entries(b"network=" + MARK.encode(), b"dnsaddr=" + address_of(100).encode()),  # Ourselves.
        entries(b"network=" + MARK.encode()) + b"\xff" + b"dnsaddr=" + address_of(1).encode(),  # Cut short.
        b"\x00" * limits.LAN_TEXT_BYTES_MAX + make_text(MARK, peer_id(1), [HERE]),  # Beyond what is read.
    ],
)
def test_an_announcement_that_means_nothing_yields_nothing(text: bytes) -> None:
    assert read_text(text, mark=MARK, own=OWN) == []


def test_an_announcement_speaks_of_one_peer() -> None:
    text = entries(b"network=" + MARK.encode(), *(b"dnsaddr=" + address_of(each).encode() for each in (1, 2, 1)))
    assert read_text(text, mark=MARK, own=OWN) == [address_of(1)]


def test_garbage_never_raises_and_never_yields_more_than_the_limit(rng: random.Random) -> None:
    good = make_text(MARK, peer_id(1), [f"/ip4/192.168.1.{number}/tcp/4710" for number in range(1, 9)])
    for _ in range(3_000):
        text = bytearray(good * rng.randrange(1, 4))
        for _ in range(rng.randrange(6)):
            text[rng.randrange(len(text))] = rng.randrange(256)
        if rng.random() < 0.3:
            text = bytearray(rng.randbytes(rng.randrange(3_000)))
        found = read_text(bytes(text[: rng.randrange(len(text) + 1)]), mark=MARK, own=OWN)
        assert len(found) <= limits.LAN_ADDRESSES_MAX


# --------------------------------------------------------------------------------------------- behaviour


def test_who_looks_around_on_the_local_network() -> None:
    public, loopback = ["/ip4/127.0.0.1/tcp/1", "/ip4/192.168.1.7/tcp/1"], ["/ip4/127.0.0.1/tcp/1", "/ip6/::1/tcp/1"]
    for profile in (HOME, PRIVATE, PUBLIC):
        assert finds_lan_peers(profile, public, is_wanted=True)
        assert not finds_lan_peers(profile, public, is_wanted=False)
        assert not finds_lan_peers(profile, loopback, is_wanted=True)
        assert not finds_lan_peers(profile, [], is_wanted=True)
    assert not finds_lan_peers(TESTNET, public, is_wanted=True)


def test_a_node_that_does_not_look_around_never_loads_the_library() -> None:
    program = "import sys, p2pnode.network.lan_discovery; sys.exit('zeroconf' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, check=False, timeout=60)
    assert done.returncode == 0


class FakeService:
    """What `_open` gives when no multicast is wanted."""

    def __init__(self) -> None:
        """Start open."""
        self.is_closed = False

    def close(self) -> None:
        """Note it."""
        self.is_closed = True


def discovery(found: list[str]) -> LanDiscovery:
    """Return a discovery of node OWN that writes down what it found."""
    return LanDiscovery(
        names=network_names(), peer_id=OWN, addresses=lambda: [HERE], on_found=found.append, rng=SystemRng()
    )


async def test_a_flood_of_services_is_looked_at_slowly_and_costs_a_bounded_memory(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """The foreign thread is played by ours; the library is left out."""
    del autojump_clock
    service, asked = FakeService(), []

    def ask(_service: FakeService, name: str) -> bytes:
        asked.append(name)
        number = int(name.partition("-")[2])
        return make_text(MARK, peer_id(number), [HERE])

    async def at_once(function: object, *arguments: object) -> object:
        await trio.lowlevel.checkpoint()
        assert callable(function)
        return function(*arguments)

    monkeypatch.setattr(lan_discovery, "_open", lambda *_: service)
    monkeypatch.setattr(lan_discovery, "_ask", ask)
    monkeypatch.setattr(lan_discovery, "_in_thread", at_once)
    found: list[str] = []
    lan = discovery(found)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lan.run)
        await trio.testing.wait_all_tasks_blocked()
        for number in range(1, 5_000):
            lan._hear(f"service-{number}")
        assert len(lan._heard) == limits.LAN_HEARD_MAX
        await trio.sleep(10 * limits.LAN_PAUSE_S + 0.5)
        assert len(asked) == 11
        assert found[0] == address_of(4_999)
        nursery.cancel_scope.cancel()
    assert service.is_closed


async def test_a_library_that_fails_is_tried_again_and_never_ends_the_node(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    del autojump_clock
    attempts = []

    def fail(*_: object) -> FakeService:
        attempts.append(trio.current_time)
        message = "no multicast here"
        raise OSError(message)

    async def at_once(function: object, *arguments: object) -> object:
        await trio.lowlevel.checkpoint()
        assert callable(function)
        return function(*arguments)

    monkeypatch.setattr(lan_discovery, "_open", fail)
    monkeypatch.setattr(lan_discovery, "_in_thread", at_once)
    with trio.move_on_after(4.5 * limits.LAN_RETRY_S):
        await discovery([]).run()
    assert len(attempts) == 5
    assert [record.levelname for record in caplog.records if record.name == lan_discovery.__name__] == ["WARNING"]


# ------------------------------------------------------------------------------- two namespaces, one cable


def ip(*arguments: str) -> None:
    """Run `ip`."""
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@contextlib.contextmanager
def two_machines() -> Iterator[tuple[str, str]]:
    """Make two network namespaces with a cable between them; gone afterwards."""
    names = (f"p2pnode-lan-{os.getpid()}-1", f"p2pnode-lan-{os.getpid()}-2")
    made = []
    try:
        for name in names:
            ip("netns", "add", name)
            made.append(name)
        ip("-n", names[0], "link", "add", "lan", "type", "veth", "peer", "name", "lan", "netns", names[1])
        for number, name in enumerate(names, start=1):
            ip("-n", name, "address", "add", f"10.77.0.{number}/24", "dev", "lan")
            ip("-n", name, "link", "set", "lo", "up")
            ip("-n", name, "link", "set", "lan", "up")
            ip("-n", name, "route", "add", "default", "via", f"10.77.0.{3 - number}")
        yield names
    finally:
        for name in made:
            ip("netns", "delete", name)


@contextlib.contextmanager
def lan_node(namespace: str, network: str, seed: int, *, port: int = 4710) -> Iterator[subprocess.Popen[str]]:
    """Run `lan_node` in a namespace; killed at the end if it has not ended by then."""
    arguments = [network, str(seed), str(port)]
    command = ["ip", "netns", "exec", namespace, sys.executable, "-m", "tests.network.lan_node", *arguments]
    with subprocess.Popen(
        command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


async def line_with(process: subprocess.Popen[str], word: str) -> str:
    """Return the rest of the first line that starts with a word. Raises `TooSlowError`, `AssertionError` at the end."""
    assert process.stdout is not None
    with trio.fail_after(FOUND_WITHIN_S):
        while True:
            line = await trio.to_thread.run_sync(process.stdout.readline, abandon_on_cancel=True)
            assert line, f"it ended: {process.stderr.read() if process.stderr else ''}"
            if line.startswith(word):
                return line.removeprefix(word).strip()


@requires("network namespaces")
async def test_two_nodes_on_one_cable_find_each_other_and_leave_no_thread_behind(rng: random.Random) -> None:
    with (
        two_machines() as (here, there),
        lan_node(here, "home", rng.getrandbits(32)) as one,
        lan_node(there, "home", rng.getrandbits(32)) as other,
    ):
        one_id, other_id = await line_with(one, "ready"), await line_with(other, "ready")
        assert await line_with(one, "connected") == other_id
        assert await line_with(other, "connected") == one_id
        for process in (one, other):
            assert process.stdin is not None
            process.stdin.close()
            assert await line_with(process, "ended") == ""
            with trio.fail_after(FOUND_WITHIN_S):
                assert await trio.to_thread.run_sync(process.wait, abandon_on_cancel=True) == 0


@requires("network namespaces")
async def test_two_networks_on_one_cable_leave_each_other_alone(rng: random.Random) -> None:
    """A third node, beside the stranger, shows that announcements from there do arrive."""
    with (
        two_machines() as (here, there),
        lan_node(there, "other", rng.getrandbits(32)) as stranger,
        lan_node(here, "home", rng.getrandbits(32)) as one,
    ):
        stranger_id = await line_with(stranger, "ready")
        await line_with(one, "ready")
        with lan_node(there, "home", rng.getrandbits(32), port=4711) as third:
            third_id = await line_with(third, "ready")
            heard = [await line_with(one, "heard")]
            assert await line_with(one, "connected") == third_id
        assert one.stdin is not None
        one.stdin.close()
        assert one.stdout is not None
        heard += [line for line in await trio.to_thread.run_sync(one.stdout.readlines) if line.startswith("heard")]
        assert not [line for line in heard if stranger_id in line]
