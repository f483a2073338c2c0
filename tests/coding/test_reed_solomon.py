"""The code against its closed form, and any k symbols against the rest."""

import itertools
import random

import numpy as np
import pytest

from p2pnode import bft
from p2pnode.coding import reed_solomon
from p2pnode.coding.field import FIELD_SIZE, Labels
from p2pnode.coding.reed_solomon import Code, extend, restore
from tests.coding import slow_code
from tests.coding.samples import SHARD_COUNTS

RATES = {
    "high, as a tie": (Code(3, 4), True),
    "low, as a tie": (Code(4, 3), False),
    "high": (Code(67, 33), True),
    "low": (Code(34, 66), False),
    "equal counts": (Code(4, 4), True),
    "one recovery symbol": (Code(5, 1), True),
    "one original": (Code(1, 3), False),
}


def codes_of(n: int) -> list[Code]:
    """Return the row code and the column code."""
    return [Code(bft.secondary_source(n), bft.faulty(n)), Code(bft.primary_source(n), 2 * bft.faulty(n))]


def random_symbols(rng: random.Random, count: int, *, width: int = 3) -> Labels:
    generator = np.random.default_rng(rng.getrandbits(64))
    labels = generator.integers(0, FIELD_SIZE, (count, width), dtype=np.uint16)
    labels[:, 0] *= generator.integers(0, 2, count, dtype=np.uint16)  # Some zeros.
    return labels


def codeword(rng: random.Random, code: Code) -> Labels:
    originals = random_symbols(rng, code.originals)
    return np.concatenate((originals, extend(code, originals)))


@pytest.mark.parametrize(("code", "is_high"), RATES.values(), ids=RATES.keys())
def test_the_rate_decides_which_part_stands_at_the_low_points(code: Code, *, is_high: bool) -> None:
    points = code.points().tolist()
    assert code.is_high_rate is is_high
    assert (points[0] == code.chunk) is is_high
    assert len(set(points)) == code.originals + code.recovery


@pytest.mark.parametrize("n", [*SHARD_COUNTS, 22, 33, 49, 64, 97, 100])
def test_the_fast_transform_gives_the_closed_form(rng: random.Random, n: int) -> None:
    for code in codes_of(n):
        originals = random_symbols(rng, code.originals, width=1)
        recovery = extend(code, originals)
        for index in rng.sample(range(code.recovery), min(code.recovery, 6)):
            column = originals[:, 0].tolist()
            assert recovery[index, 0] == slow_code.recovery_label(column, code.recovery, index)


@pytest.mark.parametrize("code", [code for code, _ in RATES.values()], ids=RATES.keys())
def test_the_closed_form_holds_at_every_rate(rng: random.Random, code: Code) -> None:
    originals = random_symbols(rng, code.originals, width=1)
    expected = [
        slow_code.recovery_label(originals[:, 0].tolist(), code.recovery, index)
        for index in range(min(code.recovery, 8))
    ]
    assert extend(code, originals)[:8, 0].tolist() == expected


def test_the_largest_codes_give_the_closed_form(rng: random.Random) -> None:
    for code in codes_of(1000):
        originals = random_symbols(rng, code.originals, width=1)
        recovery = extend(code, originals)
        for index in (0, code.recovery // 2, code.recovery - 1):
            assert recovery[index, 0] == slow_code.recovery_label(originals[:, 0].tolist(), code.recovery, index)


@pytest.mark.parametrize("n", [4, 5, 6, 7, 8])
def test_every_erasure_pattern_of_a_small_code_is_restored(rng: random.Random, n: int) -> None:
    for code in codes_of(n):
        word = codeword(rng, code)
        for positions in itertools.combinations(range(n), code.originals):
            wanted = [position for position in range(n) if position not in positions]
            restored = restore(code, word[list(positions)], positions=positions, wanted=wanted)
            assert (restored == word[wanted]).all(), positions


@pytest.mark.parametrize("n", [*SHARD_COUNTS, 33, 49, 97, 100, 400])
def test_random_erasures_are_restored(rng: random.Random, n: int) -> None:
    for code in codes_of(n):
        word = codeword(rng, code)
        for _ in range(4):
            positions = rng.sample(range(n), code.originals)
            wanted = [position for position in range(n) if position not in positions]
            assert (restore(code, word[positions], positions=positions, wanted=wanted) == word[wanted]).all()


def test_the_largest_code_is_restored_from_its_recovery_symbols(rng: random.Random) -> None:
    code = codes_of(1000)[1]
    word = codeword(rng, code)
    positions = range(1000 - code.originals, 1000)
    restored = restore(code, word[positions], positions=positions, wanted=range(5))
    assert (restored == word[:5]).all()


def test_nothing_wanted_is_nothing_restored(rng: random.Random) -> None:
    code = Code(3, 1)
    assert restore(code, random_symbols(rng, 3), positions=[0, 1, 2], wanted=[]).shape == (0, 3)


def test_one_symbol_less_determines_nothing(rng: random.Random) -> None:
    """Two codewords that agree in k - 1 symbols and differ in the others: no decoder could do with fewer."""
    for code in codes_of(7):
        first = random_symbols(rng, code.originals)
        second = first.copy()
        second[-1] ^= 1
        assert ((extend(code, first) != extend(code, second)).all(axis=1)).all()


def test_the_code_is_linear(rng: random.Random) -> None:
    for code in codes_of(10):
        first, second = random_symbols(rng, code.originals), random_symbols(rng, code.originals)
        assert (extend(code, first ^ second) == extend(code, first) ^ extend(code, second)).all()


@pytest.mark.parametrize("strip_labels", [1, 7, 64])
def test_the_width_of_the_strips_changes_nothing(
    rng: random.Random, monkeypatch: pytest.MonkeyPatch, strip_labels: int
) -> None:
    for code in codes_of(10):
        originals = random_symbols(rng, code.originals, width=37)
        whole = np.concatenate((originals, extend(code, originals)))
        positions, wanted = range(10 - code.originals, 10), range(10 - code.originals)
        monkeypatch.setattr(reed_solomon, "_STRIP_LABELS", strip_labels)
        assert (extend(code, originals) == whole[code.originals :]).all()
        assert (restore(code, whole[positions], positions=positions, wanted=wanted) == whole[wanted]).all()
        monkeypatch.undo()
