"""Finding nodes of our network on the local network, by multicast DNS. Only this file imports `zeroconf`.

The service type is our own and not libp2p's `_p2p._udp`: only our nodes answer, so a network full of other libp2p
programs costs nothing, and they are not led to dial us. The text record is libp2p's, with a mark that keeps our own
networks apart (`lan_text.py`). What is heard is only a hint, dialled like an address from the settings, where the peer
has to prove who it is.

`zeroconf` runs threads of its own. It is loaded when it is first needed, is only called from worker threads, and ends
with `run`. Whatever goes wrong in it is logged, and tried again later: a node works without it.
"""

from __future__ import annotations

import functools
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import trio

from p2pnode.config import Profile
from p2pnode.network import limits
from p2pnode.network.addresses import BadAddressError, parse_endpoint
from p2pnode.network.lan_text import hosts_of, make_text, network_mark, read_text
from p2pnode.seams import Rng
from wire.ids import PeerId
from wire.protocol_ids import NetworkNames

if TYPE_CHECKING:
    from zeroconf import ServiceBrowser, ServiceStateChange, Zeroconf

log = logging.getLogger(__name__)

T = TypeVar("T")

SERVICE_TYPE = "_p2pnode._udp.local."

_NAME_BYTES = 16
"""Random bytes of the name under which we announce ourselves; it changes with each start and says nothing."""


def finds_lan_peers(profile: Profile, listen: Sequence[str], *, is_wanted: bool) -> bool:
    """Tell whether a node with these settings looks around on the local network.

    Not the processes of a test network, which are all on one machine; not a node that nobody else can dial.
    """
    return is_wanted and profile.finds_lan_peers and any(not _is_loopback(address) for address in listen)


class LanDiscovery:
    """Announces one node on the local network, and hears of others."""

    def __init__(
        self,
        *,
        names: NetworkNames,
        peer_id: PeerId,
        addresses: Callable[[], Sequence[str]],
        on_found: Callable[[str], None],
        rng: Rng,
    ) -> None:
        """`addresses` are where this machine listens; `on_found` gets multiaddrs that end in a peer id."""
        self._mark = network_mark(names)
        self._peer_id = peer_id
        self._addresses = addresses
        self._on_found = on_found
        self._name = f"{rng.random_bytes(_NAME_BYTES).hex()}.{SERVICE_TYPE}"
        self._heard: deque[str] = deque(maxlen=limits.LAN_HEARD_MAX)
        """Names of services that were heard of; filled in the foreign thread, the oldest makes room."""
        self._has_heard = trio.Event()
        self._token: trio.lowlevel.TrioToken | None = None

    async def run(self) -> None:
        """Announce and listen until cancelled. The outermost frame of its task: no failure leaves it."""
        self._token = trio.lowlevel.current_trio_token()
        is_told = False
        while True:
            addresses = tuple(self._addresses())
            if hosts_of(addresses):
                try:
                    await self._run_with(addresses)
                except Exception as error:  # noqa: BLE001 - whatever the library does, the node goes on
                    log.log(logging.DEBUG if is_told else logging.WARNING, "no LAN discovery for now: %r", error)
                    is_told = True
            await trio.sleep(limits.LAN_RETRY_S)

    async def _run_with(self, addresses: tuple[str, ...]) -> None:
        """Announce these addresses and listen until they are others."""
        # Shielded, because what a cancelled call has opened nobody would close.
        with trio.fail_after(limits.LAN_OPEN_S, shield=True):
            service = await _in_thread(_open, self._name, self._text(addresses), addresses, self._hear)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._take_what_is_heard, service)
                while tuple(self._addresses()) == addresses:  # noqa: ASYNC110 - the system sets no event for it
                    await trio.sleep(limits.ADDRESS_CHECK_S)
                nursery.cancel_scope.cancel()
        finally:
            with trio.move_on_after(limits.LAN_CLOSE_S, shield=True):
                await _in_thread(service.close)

    def _text(self, addresses: Sequence[str]) -> bytes:
        return make_text(self._mark, self._peer_id, addresses)

    def _hear(self, name: str) -> None:
        """Put a name away; called in the foreign thread."""
        assert self._token is not None, "only a running discovery hears"
        self._heard.append(name)
        try:
            # Idempotent, so that a flood makes one call and not thousands.
            self._token.run_sync_soon(self._wake, idempotent=True)
        except trio.RunFinishedError:
            log.debug("a service was heard of after the end")

    def _wake(self) -> None:
        self._has_heard.set()

    async def _take_what_is_heard(self, service: _Service) -> None:
        """Look at what was heard, so slowly that a hostile network costs little."""
        while True:
            await self._has_heard.wait()
            self._has_heard = trio.Event()
            while self._heard:
                name = self._heard.pop()  # The latest first: a flood wears out the older ones.
                if name == self._name:
                    continue
                text = await _in_thread(_ask, service, name)
                for address in read_text(text, mark=self._mark, own=self._peer_id):
                    log.debug("heard of %s on the local network", address)
                    self._on_found(address)
                await trio.sleep(limits.LAN_PAUSE_S)


@dataclass(frozen=True, slots=True)
class _Service:
    """The library at work; each of the two has a thread."""

    zeroconf: Zeroconf
    browser: ServiceBrowser

    def close(self) -> None:
        """Say goodbye and end both threads; blocks for about half a second."""
        self.browser.cancel()
        self.zeroconf.close()


def _open(name: str, text: bytes, addresses: Sequence[str], hear: Callable[[str], None]) -> _Service:
    """Announce a service and browse for others; blocks for about a second."""
    # Loaded here because it costs 50 ms and some MB, which a node without LAN discovery need not pay.
    from zeroconf import IPVersion, ServiceBrowser, ServiceInfo, ServiceStateChange, Zeroconf  # noqa: PLC0415

    logging.getLogger("zeroconf").setLevel(logging.ERROR)  # It warns of what strangers send.
    hosts = hosts_of(addresses)
    has_ip6 = any(":" in host for host in hosts)
    zeroconf = Zeroconf(ip_version=IPVersion.All if has_ip6 else IPVersion.V4Only)
    try:
        port = next(parse_endpoint(each).port for each in addresses)
        server = f"{name.partition('.')[0]}.local."
        info = ServiceInfo(SERVICE_TYPE, name, port, properties=text, server=server, parsed_addresses=hosts)
        zeroconf.register_service(info)
        handler = functools.partial(_on_change, hear, ServiceStateChange.Removed)
        browser = ServiceBrowser(zeroconf, SERVICE_TYPE, handlers=[handler])
    except BaseException:
        zeroconf.close()
        raise
    return _Service(zeroconf, browser)


def _on_change(
    hear: Callable[[str], None],
    removed: ServiceStateChange,
    *,
    zeroconf: Zeroconf,
    service_type: str,
    name: str,
    state_change: ServiceStateChange,
) -> None:
    """Take note of a service that came or changed; called by the library, in its thread, with these names."""
    del zeroconf, service_type
    if state_change is not removed:
        hear(name)


def _ask(service: _Service, name: str) -> bytes:
    """Return a service's text record, from what was heard or by asking; blocks for LAN_ASK_S at most."""
    from zeroconf import ServiceInfo  # noqa: PLC0415 - as above

    info = ServiceInfo(SERVICE_TYPE, name)
    info.request(service.zeroconf, timeout=int(limits.LAN_ASK_S * 1000))
    return info.text or b""


def _is_loopback(address: str) -> bool:
    try:
        ip = parse_endpoint(address).ip
    except BadAddressError:
        return True
    return ip is not None and ip.is_loopback


async def _in_thread(function: Callable[..., T], *arguments: object) -> T:
    """Run a blocking call; one that hangs is left behind when we are cancelled, and cannot hold up the node's end."""
    run: Callable[..., Awaitable[T]] = functools.partial(trio.to_thread.run_sync, abandon_on_cancel=True)
    return await run(functools.partial(function, *arguments))
