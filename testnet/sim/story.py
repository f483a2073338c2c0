"""The story of a failed run: what happened to the blob or the node that a judge named, and every injection, in order.

The run is played once more with everything kept and the wires tapped; nothing of that changes what happens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from testnet.sim.judges import JudgementError
from testnet.sim.judges.wiretap import Told, Wiretap
from testnet.sim.run import Run
from testnet.sim.runner import Outcome, play
from wire.errors import WireError
from wire.ids import Axis, BlobId
from wire.messages import CommitLease, GetSliver, StorePair
from wire.references import Reference

LINES_MAX = 60
"""What is shown of a story: its first lines, and most of its end."""

_FIRST = 15
_ALWAYS = frozenset({"inject", "cuts", "failure"})
_NOISE = frozenset({"arrive", "serve", "answer"})
"""Events that say little about one node."""
_LIFE = frozenset({"kill", "up", "down", "silent", "pause", "resume"})


def tell(outcome: Outcome) -> list[str]:
    """Return the lines of the story of a failed outcome, at most LINES_MAX and one that says how many are left out."""
    tellers: list[_Teller] = []
    play(
        outcome.scenario,
        outcome.seed,
        nodes=outcome.nodes,
        injections_max=outcome.injected,
        watch=lambda run: tellers.append(_Teller(run)),
    )
    (teller,) = tellers
    error = outcome.error
    subject, node = (error.subject, error.node) if isinstance(error, JudgementError) else ("", "")
    lines = list(teller.about(subject, node))
    left_out = len(lines) - LINES_MAX
    if left_out > 0:
        lines[_FIRST : _FIRST + left_out] = [f"... {left_out} more lines ..."]
    return lines


class _Teller:
    """Looks on at a run that is played again."""

    def __init__(self, run: Run) -> None:
        self._trace = run.world.trace
        self._clock = run.world.clock
        self._groups: dict[BlobId, frozenset[BlobId]] = {}
        """The blobs that were leased together with one: the segments of a file, by its root manifest."""
        self._trace.keep_all()
        Wiretap(run.world).listeners.append(self._hear)

    def about(self, subject: str, node: str) -> Iterator[str]:
        """Yield the lines about a blob or file, or else about a node, or else all but noise; injections always.

        With both, what befell the node's life is told too.
        """
        wanted = self._spellings(subject)
        for line in self._trace.lines:
            moment, event, *facts = line.split(" ")
            if wanted:
                is_told = any(spelling in fact for spelling in wanted for fact in facts)
                is_told = is_told or (event in _LIFE and node in facts)
            else:
                is_told = event not in _NOISE and (not node or node in facts)
            if is_told or event in _ALWAYS:
                yield f"{float(moment):12.3f} s  {event} {' '.join(facts)}".rstrip()

    def _spellings(self, subject: str) -> frozenset[str]:
        """Return how the ids of a subject are written: as text in references, in hex in file names."""
        if not subject:
            return frozenset()
        try:
            blob_id = Reference.parse(subject).blob_id
        except WireError:
            return frozenset({subject})
        group = self._groups.get(blob_id, frozenset({blob_id}))
        return frozenset(spelling for each in group for spelling in (each.text(), each.hex()))

    def _hear(self, told: Told) -> None:
        """Add a line for an answer, beside the trace: its hash stays what it was."""
        match told.question:
            case StorePair() as question:
                about = f"{question.blob_id.text()} shard {question.shard}"
            case GetSliver() as question:
                about = f"{question.blob_id.text()} {Axis(question.axis).name.lower()} {question.index}"
            case CommitLease() as question:
                group = frozenset(question.page.blob_ids)
                about = f"{question.page.blob_ids[0].text()} and {len(group) - 1} more"
                self._groups.update(dict.fromkeys(group, group))
            case _:
                return
        kinds = f"{type(told.question).__name__} {type(told.answer).__name__}"
        self._trace.lines.append(f"{self._clock.current_time()!r} answer {told.node} to {told.asker}: {kinds} {about}")


def counts(found: Mapping[str, int]) -> str:
    """Return what was counted, in the order of the names."""
    return ", ".join(f"{name} {count}" for name, count in sorted(found.items())) or "none"
