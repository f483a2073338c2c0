"""Invariant 4: no read returns other bytes than were written, and whatever else happens is a typed error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from p2pnode.errors import P2PNodeError
from testnet.sim.judges.judgement import JudgementError
from testnet.sim.machine import NodeDiedError
from testnet.sim.world import World

NAME = "reads-are-exact"


class ReadJudge:
    """Judges the puts and gets of a scenario."""

    name = NAME

    def __init__(self, world: World) -> None:
        """Nothing was read yet."""
        self._world = world
        self._looked_at = 0

    def check(self) -> int:
        """Return how many reads and errors were looked at since the last time: judged is when they happen."""
        count, self._looked_at = self._looked_at, 0
        return count

    def read_done(self, node: str, subject: str, *, expected: bytes, got: bytes) -> None:
        """Judge a read that has returned. Raises `JudgementError`."""
        self._looked_at += 1
        if self._world.is_honest(node) and got != expected:
            what = f"a read returned other bytes than were stored ({len(got)} of {len(expected)})"
            raise JudgementError(NAME, what, node=node, subject=subject)

    @contextmanager
    def typed_errors(self, node: str, what: str, subject: str = "") -> Iterator[None]:
        """Turn an error that leaves a put or a get and is none of ours into a judgement."""
        try:
            yield
        except (P2PNodeError, NodeDiedError, JudgementError):
            self._looked_at += 1
            raise
        except Exception as error:
            if not self._world.is_honest(node):
                raise
            text = f"a {what} ended with {error!r}, which is no typed error"
            raise JudgementError(NAME, text, node=node, subject=subject) from error
