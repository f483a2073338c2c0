"""The slots of connections and handshakes: who gets one, and who gives way when there is none left.

Rules of this file: it never waits. Whoever gives way loses its slot in the same step in which another one gets it, so
that no limit is ever exceeded; its tasks notice later.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import trio

from p2pnode.network.admission import Place, fullest
from p2pnode.network.pace import Warnings
from p2pnode.network.resources import Claim, LimitReachedError, Reservation, Resource, Resources, Scope
from wire.ids import PeerId

logger = logging.getLogger(__name__)

_ANY_CONNECTION = Claim(Scope.SYSTEM, Resource.CONNECTIONS)
_ANY_INBOUND = Claim(Scope.SYSTEM, Resource.CONNECTIONS_INBOUND)
_ANY_HANDSHAKE = Claim(Scope.SYSTEM, Resource.HANDSHAKES)


class NoSlotError(Exception):
    """There is no slot for a connection, and nobody has to give way for it."""


class Holder(Protocol):
    """A connection, as far as slots go."""

    @property
    def peer_id(self) -> PeerId:
        """Who is at the other end."""
        ...

    @property
    def is_outbound(self) -> bool:
        """Whether we made it."""
        ...

    @property
    def block(self) -> str:
        """The block of addresses that it came from."""
        ...

    def give_way(self, reason: str) -> None:
        """Let go of the slot at once, and end."""
        ...


@dataclass(eq=False, slots=True)
class _Handshake:
    place: Place
    reservation: Reservation
    scope: trio.CancelScope


class ConnectionSlots:
    """Hands out slots."""

    def __init__(self, resources: Resources, holders: Callable[[], Iterable[Holder]]) -> None:
        """`holders` are the open connections, the oldest of each place first."""
        self.protected: frozenset[PeerId] = frozenset()
        """Peers that never give way to a stranger."""
        self._resources = resources
        self._holders = holders
        self._handshakes: list[_Handshake] = []
        self._warnings = Warnings(logger)

    @contextmanager
    def handshaking(self, place: Place) -> Iterator[trio.CancelScope]:
        """Hold a handshake's slot for the length of the block; the scope is cancelled when it has to give way."""
        shake = _Handshake(place, self._reserve_handshake(place), trio.CancelScope())
        self._handshakes.append(shake)
        try:
            with shake.reservation, shake.scope:
                yield shake.scope
        finally:
            if shake in self._handshakes:
                self._handshakes.remove(shake)

    def _reserve_handshake(self, place: Place) -> Reservation:
        claims = (_ANY_HANDSHAKE, *place.claims(Resource.HANDSHAKES, Scope.BLOCK))
        while True:
            try:
                return self._resources.reserve(claims)
            except LimitReachedError as error:
                if not self._handshakes:  # The limit is 0.
                    message = "no handshakes are allowed"
                    raise NoSlotError(message) from error
                blocks = (shake.place.block for shake in self._handshakes)
                block = place.block if error.row.scope is Scope.BLOCK else fullest(blocks)
                oldest = next(shake for shake in self._handshakes if shake.place.block == block)
                self._handshakes.remove(oldest)
                oldest.reservation.release()
                oldest.scope.cancel()
                self._warnings.warn("slow handshakes gave way to new ones", f"one from {oldest.place.address}")

    def admit(self, peer_id: PeerId, place: Place | None) -> Reservation:
        """Return the slot of a connection; without a place it is one that we made. Raises `NoSlotError`."""
        is_protected = peer_id in self.protected
        claims = [_ANY_CONNECTION, Claim(Scope.PEER, Resource.CONNECTIONS, peer_id)]
        if place is not None:
            claims.append(_ANY_INBOUND)
            if not is_protected:  # Whom we know may well live in a block that strangers have filled.
                claims += place.claims(Resource.CONNECTIONS_INBOUND, Scope.ADDRESS, Scope.BLOCK)
        while True:
            try:
                return self._resources.reserve(claims)
            except LimitReachedError as error:
                self._make_room(error, peer_id, None if is_protected else place)

    def _make_room(self, error: LimitReachedError, peer_id: PeerId, place: Place | None) -> None:
        """Have one connection give way. Raises `NoSlotError` when it is the newcomer; `place` is None if it may not."""
        if error.row.scope is Scope.PEER:
            oldest = next((each for each in self._holders() if each.peer_id == peer_id), None)
            if oldest is not None:
                oldest.give_way("the peer has newer connections")
                return
        elif error.row.scope is Scope.SYSTEM:
            victim = self._victim(place)
            if victim is not None:
                self._warnings.warn("connection slots are full, a stranger gave way", f"one from {victim.block}")
                victim.give_way("its slot was needed for another peer")
                return
        self._warnings.warn("a connection was turned away", str(error))
        raise NoSlotError(str(error)) from error

    def _victim(self, place: Place | None) -> Holder | None:
        """Return the newest stranger of the fullest block; None when that is the newcomer, or nobody is a stranger."""
        strangers = [each for each in self._holders() if not each.is_outbound and each.peer_id not in self.protected]
        if not strangers:
            return None
        newcomer = [] if place is None else [place.block]
        block = fullest([*(each.block for each in strangers), *newcomer])
        if newcomer == [block]:
            return None
        return next(each for each in reversed(strangers) if each.block == block)
