"""Vetting: who was here long enough and kept its promises often enough to be relied on (PROTOCOL section 2).

The one definition. It is our own view: nobody's word for somebody else counts, so who would deceive us has to serve us.
Time alone is cheap, and audits alone can be passed in an hour by one machine with a thousand names; both together cost
three days of real storage for each identity.
"""

from __future__ import annotations

from p2pnode.config import Profile


def is_long_known(profile: Profile, *, met_at: float | None, wall: float) -> bool:
    """Tell whether we met a peer first, at `met_at` by our wall clock, at least the vetting time before `wall`.

    That alone is asked where it matters that nobody can make such peers now, and not whether they keep promises: when a
    dead link is told from dead peers. One that fails every audit still proves by talking that our link works.
    """
    return met_at is not None and (not profile.vetting_s or wall - met_at >= profile.vetting_s)


def is_vetted(profile: Profile, *, met_at: float | None, audits_passed: int, wall: float) -> bool:
    """Tell whether a peer counts as vetted at `wall`: it is long known, and has passed enough audits.

    Where vetting is off everybody does, also whom we never met.
    """
    if not profile.vetting_s:
        return True
    return audits_passed >= profile.vetting_audits and is_long_known(profile, met_at=met_at, wall=wall)


def with_pass(profile: Profile, audits_passed: int) -> int:
    """Return the number of passed audits after one more; what is enough is not counted on."""
    return min(audits_passed + 1, profile.vetting_audits)
