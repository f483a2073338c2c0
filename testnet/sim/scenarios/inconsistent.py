"""Blobs of no encoding are let go of by who has checked it, and good ones by nobody, whatever others say."""

from __future__ import annotations

from collections.abc import Sequence

from p2pnode.errors import InconsistentDataError, P2PNodeError
from testnet.sim.faults import FaultKind
from testnet.sim.habits.dishonest_writer import DishonestWriter
from testnet.sim.habits.false_notices import FalseNotices
from testnet.sim.judges import JudgementError
from testnet.sim.judges.pairs import pair_files
from testnet.sim.machine import RunningNode
from testnet.sim.run import HEALTHY, Run
from testnet.sim.scenarios import scenario
from testnet.sim.scenarios.byzantine import start_among
from wire.ids import BlobId
from wire.references import Reference, ReferenceKind

NAME = "inconsistent-blobs-go"

_ROUNDS = 40
"""Looks at what the writer has made, until a reader meets a sliver that does not fit."""


@scenario(FaultKind.BYZANTINE)
async def blobs_of_no_encoding_and_false_notices(run: Run) -> None:
    """A reader proves what a writer made; all holders check that and let go of it, and of nothing that is good."""
    writer, liar = DishonestWriter(), FalseNotices()
    honest = await start_among(run, [writer, liar])
    await run.must_put(honest[0], HEALTHY)
    proven = await _first_proven(run, writer, honest)
    if proven is not None:
        await run.wait(20.0, 30.0)
        for name in honest:
            kept = [key for _, key in pair_files(run.machine(name).files) if key.blob_id == proven]
            _demand(run, name, not kept, f"it still holds {len(kept)} pairs of {proven.text()}, which is inconsistent")
            error = await _error_of_reading(run, name, proven)
            _demand(run, name, isinstance(error, InconsistentDataError), f"reading {proven.text()} ends with {error!r}")
    await run.heal(honest)
    await run.demand_progress(honest)


async def _first_proven(run: Run, writer: DishonestWriter, honest: Sequence[str]) -> BlobId | None:
    """Read what the writer makes until somebody has the proof of one; None where nobody writes such blobs."""
    for _ in range(_ROUNDS):
        await run.wait(4.0, 8.0)
        for crooked in writer.crooked:
            for name in honest:
                if isinstance(await _error_of_reading(run, name, crooked.blob_id), InconsistentDataError):
                    return crooked.blob_id
    return None


async def _error_of_reading(run: Run, name: str, blob_id: BlobId) -> P2PNodeError | None:
    async def work(node: RunningNode) -> None:
        async with node.get(Reference(ReferenceKind.BLOB, blob_id)) as download:
            async for _ in download.chunks:
                pass

    try:
        await run.machine(name).call(work)
    except P2PNodeError as error:
        return error
    return None


def _demand(run: Run, node: str, is_so: bool, otherwise: str) -> None:  # noqa: FBT001 - the fact itself
    run.count(NAME)
    if not is_so:
        raise JudgementError(NAME, otherwise, node=node)
