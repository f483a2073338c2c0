"""Invariant 1, the reader's side: every sliver that an honest node sends is the one asked for, and whole."""

from __future__ import annotations

from p2pnode.coding import BlobMetadata, CodingError
from p2pnode.storage.sealed import DamagedFileError
from testnet.sim.judges.judgement import Findings
from testnet.sim.judges.pairs import PairInspector, WholePair, pair_files
from testnet.sim.judges.wiretap import Told, Wiretap
from testnet.sim.world import World
from wire.ids import Axis, BlobId
from wire.messages import GetSliver, SliverData, Stored, StorePair

NAME = "no-damage-served"


class ServedJudge:
    """Watches a world."""

    name = NAME

    def __init__(self, world: World, wiretap: Wiretap, pairs: PairInspector) -> None:
        """Watch all honest nodes from now on."""
        self._world = world
        self._pairs = pairs
        self._findings = Findings(NAME)
        wiretap.listeners.append(self._hear)

    def check(self) -> int:
        """Tell what was found since the last time. Raises `JudgementError`."""
        return self._findings.deliver()

    def _hear(self, told: Told) -> None:
        if not self._world.is_honest(told.node):
            return
        match told.question, told.answer:
            case StorePair() as question, Stored():
                self._learn(told.node, question)
            case GetSliver() as question, SliverData():
                self._hear_sliver(told.node, question, told.payload)
            case _:
                pass

    def _learn(self, node: str, question: StorePair) -> None:
        try:
            self._pairs.learn(question.blob_id, question.metadata)
        except (CodingError, DamagedFileError):
            what = "it signed for a pair whose metadata is not of that blob"
            self._findings.blame(what, node=node, subject=question.blob_id.text())

    def _hear_sliver(self, node: str, question: GetSliver, data: bytes) -> None:
        self._findings.looked()
        axis = Axis(question.axis)
        subject = question.blob_id.text()
        sliver = f"{axis.name.lower()} sliver {question.index} of {subject}"
        metadata = self._pairs.metadata(question.blob_id) or self._metadata_on_disk(node, question.blob_id)
        if metadata is None:
            self._findings.blame(f"it served the {sliver} and holds nothing of that blob", node=node, subject=subject)
        elif not self._pairs.is_good(metadata, axis, question.index, data):
            self._findings.blame(f"it served damaged bytes as the {sliver}", node=node, subject=subject)

    def _metadata_on_disk(self, node: str, blob_id: BlobId) -> BlobMetadata | None:
        """Look for the metadata of a blob that its writer gave to itself: it never went over a wire."""
        files = self._world.machines[node].files
        for name, key in pair_files(files):
            if key.blob_id == blob_id and isinstance(self._pairs.whole(node, name, files.peek(name)), WholePair):
                break
        return self._pairs.metadata(blob_id)
