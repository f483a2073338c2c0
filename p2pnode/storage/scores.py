"""The scores of peers, kept over a restart: a peer must not be trusted anew because we were away."""

from __future__ import annotations

from collections.abc import Sequence

from p2pnode.reputation.score import Score
from p2pnode.reputation.scores import SCORES_MAX
from p2pnode.storage.engine import Engine
from p2pnode.storage.schema import SCORES
from wire.ids import PeerId

MILLIONTHS = 1_000_000
"""The index keeps whole numbers: a millionth of an observation is nothing."""


def save_scores(engine: Engine, scores: Sequence[tuple[PeerId, Score]]) -> None:
    """Keep these scores instead of those kept."""
    with engine.writing_disk(), engine.database.writing() as connection:
        kept = {row[0]: row for row in SCORES.each(connection)}
        rows = {bytes(peer_id): _row(peer_id, score) for peer_id, score in scores[:SCORES_MAX]}
        for key in kept.keys() - rows.keys():
            SCORES.delete(connection, key)
        for key, row in rows.items():
            if kept.get(key) != row:
                SCORES.put(connection, row)


def load_scores(engine: Engine) -> list[tuple[PeerId, Score]]:
    """Return the scores that are kept, in the order of peer ids."""
    found = []
    with engine.database.reading() as connection:
        for peer_id, passed, failed, streak in SCORES.each(connection, "ORDER BY peer_id"):
            assert isinstance(peer_id, bytes)
            assert isinstance(passed, int)
            assert isinstance(failed, int)
            assert isinstance(streak, int)
            score = Score(passed=passed / MILLIONTHS, failed=failed / MILLIONTHS, streak=streak)
            found.append((PeerId(peer_id), score))
    return found


def _row(peer_id: PeerId, score: Score) -> tuple[bytes, int, int, int]:
    return bytes(peer_id), round(score.passed * MILLIONTHS), round(score.failed * MILLIONTHS), score.streak
