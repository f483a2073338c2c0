"""Every target keeps its promise for a few hundred damaged inputs and for all that the corpus has."""

from __future__ import annotations

import random

import pytest

from testnet.fuzz.campaign import Campaign
from testnet.fuzz.command import SHARE_MIN
from testnet.fuzz.corpus import CORPUS, directory_of, read_corpus
from testnet.fuzz.targets import all_targets
from tests.wire.test_golden import GOLDEN

INPUTS = 120
CORPUS_BYTES_MAX = 200_000
TARGETS = all_targets()


@pytest.mark.parametrize("name", TARGETS)
def test_any_bytes_are_taken_or_refused_with_the_named_error(name: str, seed: int) -> None:
    golden = [each.data for each in GOLDEN if name in (f"wire/{type(each.value).__name__}", "wire/any")]
    corpus = [*golden, *read_corpus(name)]
    report = Campaign(TARGETS[name], seed=seed, corpus=corpus).run(INPUTS, counts_lines=False)
    assert [f"{each.what}\n{each.details}\n{each.data[:500]!r}" for each in report.findings] == []
    assert report.inputs >= INPUTS
    # Of so few inputs the share says little; the command demands the whole of it.
    assert report.share > SHARE_MIN / 4


def test_every_directory_of_the_corpus_belongs_to_a_target() -> None:
    known = {directory_of(name) for name in TARGETS}
    assert {path for path in CORPUS.iterdir() if path.is_dir()} <= known


def test_the_corpus_stays_small() -> None:
    assert sum(path.stat().st_size for path in CORPUS.rglob("*") if path.is_file()) < CORPUS_BYTES_MAX


def test_the_honest_inputs_of_every_target_get_past_its_framing(seed: int) -> None:
    """Targets whose honest inputs are malformed on purpose have no framing."""
    for name, target in TARGETS.items():
        if target.framing:
            count = len(target.seeds(random.Random(seed)))
            report = Campaign(target, seed=seed).run(0, counts_lines=False)
            assert (name, report.past_framing, report.inputs) == (name, count, count)
