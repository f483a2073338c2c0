"""Adversaries are found within the number of audits that theory gives, and the page of the threats says how soon."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from p2pnode.coding import encode
from p2pnode.errors import PeerFaultError
from p2pnode.protocols.challenge import check_answer
from p2pnode.protocols.evidence import evidence_in
from testnet import detection
from testnet.detection import ADVERSARIES, DropsATenth, HalfSlivers, measure
from testnet.detection_plot import AUDITS, found, found_by_theory
from tests.factories import NETWORK
from tests.protocols.test_challenge import answer_of, question_of

RUNS = 150
PAGE = Path(__file__).parents[2] / "docs" / "THREATS.md"


@pytest.mark.parametrize("kind", ADVERSARIES, ids=lambda kind: kind.__name__)
def test_an_adversary_is_found_as_soon_as_theory_says(kind: type[detection.Adversary], rng: random.Random) -> None:
    row = measure(kind, n=100, runs=RUNS, rng=rng)
    # The mean of RUNS geometric numbers is within five of its standard deviations in all but one of a million tests.
    spread = 5 * (1 - row.failure_rate) ** 0.5 / row.failure_rate / RUNS**0.5
    assert abs(row.first_seen - row.first_theory) <= spread + 0.05
    assert row.distrusted_seen == pytest.approx(row.distrusted_theory, rel=0.5)


def test_a_small_committee_asks_for_most_of_a_sliver_too(rng: random.Random) -> None:
    assert measure(HalfSlivers, n=10, runs=RUNS, rng=rng).first_seen < 1.1


def test_whoever_is_never_asked_for_what_is_missing_is_never_found(rng: random.Random) -> None:
    class Honest(DropsATenth):
        def can_answer(self, asked: detection.Asked) -> bool:
            return asked.pair >= 0

    found = detection.play(Honest(10, rng), rng)
    assert (found.first_failure, found.distrusted) == (detection.AUDITS_MAX, detection.AUDITS_MAX)


def test_a_replayed_answer_is_wrong_and_true_so_it_costs_score_and_convicts_nobody(rng: random.Random) -> None:
    blob = encode(rng.randbytes(5_000), n=7)
    earlier = answer_of(question_of(blob.blob_id, n=7, number=1), blob)
    question = question_of(blob.blob_id, n=7, number=2)
    for asked in (question, replace(question, challenger=question.prover)):
        with pytest.raises(PeerFaultError, match="answers another question"):
            check_answer(earlier, asked)
    assert evidence_in(earlier, network=NETWORK) is None


def test_the_table_of_the_page_is_what_the_study_prints(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["testnet.detection", "--runs", "3"])
    detection.main()
    page, printed = PAGE.read_text("utf-8"), capsys.readouterr().out
    assert printed.startswith(detection.HEAD)
    assert detection.HEAD in page
    for line in printed.splitlines()[2:]:
        name, rate = line.split(" | ")[:2]
        assert f"{name} | {rate} |" in page


def test_the_picture_has_theory_as_lines_and_what_was_seen_as_dots(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "detection.svg"
    detection.main(["--runs", "20", "--seed", "1", "--plot", str(target)])
    assert len(capsys.readouterr().out.splitlines()) == len(ADVERSARIES) + 2
    picture = target.read_text(encoding="utf-8")
    assert picture.count("<polyline ") == 2 * len(ADVERSARIES)
    assert picture.count("<circle ") == 2 * len(ADVERSARIES) * len(AUDITS)
    assert all(f">{kind.name} (" in picture for kind in ADVERSARIES)


def test_a_share_found_is_of_those_that_needed_no_more_audits() -> None:
    assert [found([1, 2, 2, 9], audits) for audits in (1, 2, 8, 9)] == [0.25, 0.75, 0.75, 1.0]
    assert [found_by_theory(0.1, audits) for audits in (1, 2)] == pytest.approx([0.1, 0.19])


def test_a_picture_that_cannot_be_written_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="the picture cannot be written"):
        detection.main(["--runs", "1", "--plot", str(tmp_path / "none" / "detection.svg")])
