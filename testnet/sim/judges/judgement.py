"""What a judge is, and what it raises."""

from __future__ import annotations

from typing import Protocol


class JudgementError(AssertionError):
    """An invariant does not hold. Names the judge, the node, and the blob or whatever else it is about."""

    def __init__(self, judge: str, what: str, *, node: str = "", subject: str = "") -> None:
        """Say what is wrong; `node` is the name of a machine, `subject` a blob id, file reference or table."""
        super().__init__(f"{judge}: {node + ': ' if node else ''}{what}")
        self.judge = judge
        self.what = what
        self.node = node
        self.subject = subject

    def __reduce__(self) -> tuple[object, ...]:
        """Travel between processes: an exception would else be made anew from its message alone."""
        return _judgement, (self.judge, self.what, self.node, self.subject)


def _judgement(judge: str, what: str, node: str, subject: str) -> JudgementError:
    return JudgementError(judge, what, node=node, subject=subject)


class Judge(Protocol):
    """One invariant. It watches from its making on, and changes nothing: while it looks no time passes in the world."""

    @property
    def name(self) -> str:
        """A word or two with hyphens, such as `promises-kept`."""
        ...

    def check(self) -> int:
        """Check what can be checked now; return how many things were looked at. Raises `JudgementError`."""
        ...


class Findings:
    """Keeps what a judge finds while a node's code runs: raised there, it would look like a fault of that code."""

    def __init__(self, judge: str) -> None:
        """Nothing was found yet."""
        self._judge = judge
        self._first: JudgementError | None = None
        self._looked_at = 0

    def looked(self, count: int = 1) -> None:
        """Count what was looked at."""
        self._looked_at += count

    def blame(self, what: str, *, node: str = "", subject: str = "") -> None:
        """Note that the invariant does not hold; the first such note is the judgement."""
        self._first = self._first or JudgementError(self._judge, what, node=node, subject=subject)

    def deliver(self) -> int:
        """Return how much was looked at since the last time. Raises `JudgementError` when something was found."""
        if self._first is not None:
            raise self._first
        count, self._looked_at = self._looked_at, 0
        return count
