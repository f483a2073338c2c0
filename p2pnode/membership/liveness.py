"""What silence means: a member's state is a function of the time since the last contact (PROTOCOL section 7)."""

from __future__ import annotations

import enum

from p2pnode.config import Profile


class Liveness(enum.StrEnum):
    """States in the order in which silence leads through them."""

    ACTIVE = "active"
    SUSPECT = "suspect"
    OFFLINE = "offline"
    LOST = "lost"


def liveness(silence_s: float, profile: Profile) -> Liveness:
    """Return the state after this many seconds without contact."""
    if silence_s >= profile.long_grace_s:
        return Liveness.LOST
    if silence_s >= profile.offline_after_s:
        return Liveness.OFFLINE
    if silence_s >= profile.suspect_after_s:
        return Liveness.SUSPECT
    return Liveness.ACTIVE
