"""The profile of the simulator: the public one, with an admission work that costs a millisecond.

Only the memory of scrypt and the zeros of the stamp are fewer, so that every line that solves and checks is the one
that ships. At the real cost ten nodes would need two minutes to be made, and half a minute to know each other.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from crypto.keys import SigningKey
from crypto.work import Task, attempts
from p2pnode.config import PUBLIC, Profile

ADMISSION_WORK = 2
"""scrypt with N = 4, and a stamp of 6 bits; the public profile asks for N = 2**16 and 20 bits."""

AUDITING = replace(PUBLIC, admission_work=ADMISSION_WORK)

SOLUTIONS_MAX = 4_096
"""Solutions that a process remembers: the nodes of all scenarios have the same identities with the same seed."""

SIMULATED = replace(AUDITING, audit_every_s=0)
"""Without audits: in worlds of hours and weeks they would be most of what is computed. Those of minutes have them."""


def solved(identity: SigningKey, network: str, profile: Profile) -> bytes:
    """Return the solution that a node needs in a network with this profile."""
    if not profile.admission_work:
        return b""
    return _solution(Task(identity.public, network, profile.admission_work))


@lru_cache(maxsize=SOLUTIONS_MAX)
def _solution(task: Task) -> bytes:
    return next(solution for solution in attempts(task, start=0) if solution is not None)
