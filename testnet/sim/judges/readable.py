"""Invariant 3: what is certified is readable while any P of its pairs are reachable: they give the very bytes back.

The judge decodes for itself, outside of all nodes, from pairs that lie whole on the disks of running honest nodes:
another choice of P of them each time. That a node can really fetch them is demanded once all is healed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from p2pnode.coding import CodingError, Sliver, decode
from p2pnode.errors import IntegrityError
from p2pnode.protocols.manifest import Manifest, manifest_from_bytes
from testnet.sim.judges.judgement import JudgementError
from testnet.sim.judges.pairs import PairInspector, WholePair, pair_files
from testnet.sim.world import World
from wire.ids import Axis, BlobId
from wire.references import Reference, ReferenceKind

NAME = "certified-is-readable"

DECODED_MAX = 2
"""Stored things that are looked at in one check, chosen by chance: decoding is what costs."""


class Stored(Protocol):
    """Something that a put has reported as stored."""

    @property
    def id(self) -> str:
        """The reference."""
        ...

    @property
    def data(self) -> bytes:
        """What was stored."""
        ...


class ReadableJudge:
    """Watches a world and what is stored in it."""

    name = NAME

    def __init__(self, world: World, pairs: PairInspector, shelf: Sequence[Stored]) -> None:
        """Judge what is on the shelf at each check."""
        self._world = world
        self._pairs = pairs
        self._shelf = shelf
        self._rng = world.generator("judges/readable")

    def check(self) -> int:
        """Decode some of what is stored. Returns how many blobs were decoded. Raises `JudgementError`."""
        chosen = self._rng.sample(self._shelf, min(DECODED_MAX, len(self._shelf)))
        on_disks = self._pairs_on_disks() if chosen else {}
        return sum(self._check_stored(each, on_disks) for each in chosen)

    def _pairs_on_disks(self) -> dict[BlobId, dict[int, WholePair]]:
        """Return the whole pairs of each blob on the disks of honest nodes that run, by their place in the code."""
        found: dict[BlobId, dict[int, WholePair]] = {}
        for machine in self._world.running():
            if not self._world.is_honest(machine.name):
                continue
            for name, key in pair_files(machine.files):
                pair = self._pairs.whole(machine.name, name, machine.files.peek(name))
                if isinstance(pair, WholePair):
                    found.setdefault(key.blob_id, {})[pair.pair] = pair
        return found

    def _check_stored(self, stored: Stored, on_disks: dict[BlobId, dict[int, WholePair]]) -> int:
        reference = Reference.parse(stored.id)
        root = self._decoded(reference.blob_id, on_disks, stored.id)
        if root is None:
            return 0
        if reference.kind is ReferenceKind.BLOB:
            self._compare(stored, root, start=0)
            return 1
        manifest = self._manifest(root, reference.blob_id, stored.id)
        position = self._rng.randrange(len(manifest.entries))
        entry = manifest.entries[position]
        data = self._decoded(entry.blob_id, on_disks, stored.id)
        if data is None or manifest.level:
            return 1
        self._compare(stored, data, start=sum(each.file_bytes for each in manifest.entries[:position]))
        return 2

    def _manifest(self, data: bytes, blob_id: BlobId, subject: str) -> Manifest:
        try:
            return manifest_from_bytes(data, blob_id)
        except IntegrityError as error:
            raise JudgementError(
                NAME, f"the pairs of a file's manifest give no manifest: {error}", subject=subject
            ) from error

    def _decoded(self, blob_id: BlobId, on_disks: dict[BlobId, dict[int, WholePair]], subject: str) -> bytes | None:
        """Return a blob from P of its pairs; None when there are fewer: then nothing is demanded."""
        pairs = [pair for _, pair in sorted(on_disks.get(blob_id, {}).items())]
        if not pairs:
            return None
        metadata = pairs[0].metadata
        needed = metadata.n - 2 * ((metadata.n - 1) // 3)
        if len(pairs) < needed:
            return None
        chosen = self._rng.sample(pairs, needed)
        slivers = [Sliver(blob_id, Axis.PRIMARY, each.pair, each.sliver(Axis.PRIMARY)) for each in chosen]
        try:
            return decode(metadata, slivers)
        except CodingError as error:
            raise JudgementError(
                NAME, f"{needed} whole pairs of a blob do not give it back: {error}", subject=subject
            ) from error

    def _compare(self, stored: Stored, data: bytes, *, start: int) -> None:
        if data != stored.data[start : start + len(data)]:
            raise JudgementError(NAME, "whole pairs give other bytes back than were stored", subject=stored.id)
