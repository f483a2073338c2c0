"""What port mapping asks of a router, whatever it is spoken to in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from p2pnode.membership.endpoints import Endpoint


class RouterError(Exception):
    """A router that is not there, does not speak the protocol, or says no; the text is for a person."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A port at the router's outer side, and for how many seconds it is open."""

    outer: Endpoint
    lifetime_s: int


class Router(Protocol):
    """A way to speak to the router."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    async def open(self, local: Endpoint, *, lifetime_s: int) -> Opened:
        """Open a port that leads to ours, or renew it. Raises `RouterError`."""
        ...

    async def close(self) -> None:
        """Give the port back; no error when none is open. Raises `RouterError`."""
        ...
