"""Port mapping: having the router open a port for us, keeping it open, and giving it back at the stop.

It never holds up anything: it runs beside the node, and what it finds is looked at when it is there. Whether the port
can really be reached is another question, which peers answer (`p2pnode/services/reach.py`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import trio

from p2pnode.membership.endpoints import BadAddressError, Endpoint, parse_endpoint
from p2pnode.network import router_limits as limits
from p2pnode.network.router import Opened, Router, RouterError
from p2pnode.protocols.reach import MappingState, PortMapping, local_endpoint
from p2pnode.seams import Clock

logger = logging.getLogger(__name__)


class RouterPortMapper:
    """Keeps one port mapped, by the first of several ways that works."""

    def __init__(self, routers: Sequence[Router], clock: Clock) -> None:
        """Ask these, in their order."""
        self._routers = tuple(routers)
        self._clock = clock
        self._open_at: Router | None = None
        self._mapping = PortMapping(state=MappingState.SEARCHING, detail="the router has not answered yet")

    @property
    def mapping(self) -> PortMapping:
        """How it is doing now."""
        return self._mapping

    async def run(self, addresses: Callable[[], Sequence[str]]) -> None:
        """Map a port of these addresses of ours, keep it mapped, and give it back when cancelled; never raises."""
        try:
            while True:
                local = _to_map(addresses())
                pause_s = await self._map_once(local)
                until = self._time() + pause_s
                while self._time() < until and _to_map(addresses()) == local:
                    await self._clock.sleep(limits.MAPPING_LOOK_S)
        finally:
            with trio.move_on_after(limits.ROUTER_CLOSE_S, shield=True):
                await self._close()

    def _time(self) -> float:
        """Return the seconds that pass for the router too while this machine sleeps."""
        return self._clock.monotonic() + self._clock.asleep()

    async def _map_once(self, local: Endpoint | None) -> float:
        """Open or renew the mapping; return after how many seconds to do it again."""
        if local is None:
            await self._close()
            self._note(PortMapping(state=MappingState.OFF, detail="no router stands before this node's addresses"))
            return limits.MAPPING_RETRY_S
        reasons = []
        for router in self._in_order():
            try:
                opened = await self._open(router, local)
            except RouterError as error:
                reasons.append(f"{router.name}: {error}")
                continue
            text = opened.outer.text()
            detail = f"the router leads {text} to {local.text()} ({router.name})"
            self._note(PortMapping(state=MappingState.MAPPED, detail=detail, address=text, local=local.text()))
            return max(limits.MAPPING_LOOK_S, opened.lifetime_s * limits.MAPPING_RENEW_FACTOR)
        self._note(PortMapping(state=MappingState.FAILED, detail="; ".join(reasons)))
        return limits.MAPPING_RETRY_S

    def _in_order(self) -> list[Router]:
        """Return the routers, the one that worked last time first."""
        return sorted(self._routers, key=lambda each: each is not self._open_at)

    async def _open(self, router: Router, local: Endpoint) -> Opened:
        """Raises `RouterError`, also for a port that is open but leads nowhere from the world."""
        if self._open_at is not router:
            await self._close()
        self._open_at = router
        try:
            with trio.fail_after(limits.ROUTER_S):
                opened = await router.open(local, lifetime_s=limits.MAPPING_LIFETIME_S)
        except trio.TooSlowError as error:
            message = f"no answer within {limits.ROUTER_S:.0f} s"
            raise RouterError(message) from error
        except Exception as error:
            if isinstance(error, RouterError):
                raise
            logger.exception("asking the router by %s failed", router.name)
            message = "it failed, the log says why"
            raise RouterError(message) from error
        if opened.outer.is_private or opened.outer.is_unspecified:
            await self._close()
            message = (
                f"the router's own address {opened.outer.host} is not public: there is a second router before it, or "
                "the provider shares one address among its customers"
            )
            raise RouterError(message)
        return opened

    async def _close(self) -> None:
        """Give back what is open; a router that does not answer lets it run out by itself."""
        router, self._open_at = self._open_at, None
        if router is None:
            return
        try:
            with trio.move_on_after(limits.ROUTER_S):
                await router.close()
        except RouterError as error:
            logger.debug("giving the port back by %s failed: %s", router.name, error)

    def _note(self, mapping: PortMapping) -> None:
        if mapping != self._mapping:
            logger.info("port mapping: %s", mapping.detail)
        self._mapping = mapping


def _to_map(addresses: Sequence[str]) -> Endpoint | None:
    """Return our address that a port should lead to; None when there is no router to ask, or no need to."""
    for text in addresses:
        try:
            endpoint = parse_endpoint(text)
        except BadAddressError:
            continue
        if endpoint.kind == "ip4" and not endpoint.is_private:
            return None
    return local_endpoint(addresses)
