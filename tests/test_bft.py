"""The fault arithmetic: a table of named cases, and what must hold for every n."""

import pytest

from p2pnode import bft

CASES = {
    "the smallest": (4, 1, 2, 3, 3, 2),
    "one more than 3f + 1": (5, 1, 3, 4, 4, 2),
    "two more than 3f + 1": (6, 1, 4, 5, 5, 2),
    "two faults": (7, 2, 3, 5, 5, 3),
    "a small network": (10, 3, 4, 7, 7, 4),
    "not of the form 3f + 1": (12, 3, 6, 9, 9, 4),
    "the default at most": (100, 33, 34, 67, 67, 34),
    "the largest": (1000, 333, 334, 667, 667, 334),
}
"""The name of a case; then n, f, P, S, quorum and validity."""


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_named_cases(case: tuple[int, ...]) -> None:
    n, f, primary, secondary, quorum, validity = case
    assert bft.faulty(n) == f
    assert bft.primary_source(n) == primary
    assert bft.secondary_source(n) == secondary
    assert bft.quorum(n) == quorum
    assert bft.validity(n) == validity


@pytest.mark.parametrize("n", [-1, 0, 1, 2, 3, 1001, 10**9])
def test_a_shard_count_outside_the_format_is_refused_everywhere(n: int) -> None:
    for function in (bft.faulty, bft.primary_source, bft.secondary_source, bft.quorum, bft.validity):
        with pytest.raises(bft.BadShardCountError, match=f"n = {n}"):
            function(n)


def test_the_promises_of_the_numbers_hold_for_every_n() -> None:
    for n in range(4, 1001):
        f = bft.faulty(n)
        assert 3 * f < n <= 3 * f + 3
        assert bft.primary_source(n) > f, "the liars alone cannot decode"
        assert bft.secondary_source(n) == n - f, "the honest alone can rebuild"
        assert 2 * bft.quorum(n) - n > f, "two quorums share an honest shard"
        assert bft.quorum(n) - f >= bft.primary_source(n), "a certified blob has P honest pairs"
        assert bft.validity(n) > f, "at least one is honest"
