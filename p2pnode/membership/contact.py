"""What is remembered of a peer over a restart besides its record: since when we know it, and where we reached it."""

from __future__ import annotations

from dataclasses import dataclass

from wire.ids import PeerId

WORKED_ADDRESSES_MAX = 3
"""Addresses at which we reached a peer, the latest first: its home, the one before, one of the other IP version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """One peer's history with us."""

    peer_id: PeerId
    met_at: int
    """Our wall clock at the first contact, in whole seconds since 1970."""
    seen_at: int
    """Our wall clock at the last contact."""
    is_anchor: bool
    addresses: tuple[str, ...]
    """Addresses at which we reached it, the latest first; WORKED_ADDRESSES_MAX at most."""
    audits_passed: int = 0
    """Audits of ours that it passed, as far as they are counted."""


def with_address(worked: tuple[str, ...], address: str) -> tuple[str, ...]:
    """Return the addresses that worked, with this one as the latest; an empty one changes nothing."""
    if not address or worked[:1] == (address,):
        return worked
    return (address, *(each for each in worked if each != address))[:WORKED_ADDRESSES_MAX]
