"""Sizes, times and counts as a person reads them."""

from __future__ import annotations

import pytest

from p2pnode.wording import counted, human_bytes, human_date, human_duration


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (1_500_000, "1.5 MB"),
        (999_949, "999.9 kB"),
        (999_951, "1.0 MB"),
        (10**18, "1.0 EB"),
    ],
)
def test_sizes_are_readable(count: int, text: str) -> None:
    assert human_bytes(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (2.54, "2.5 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (1e6, "12 d")]
)
def test_time_spans_are_readable(seconds: float, text: str) -> None:
    assert human_duration(seconds) == text


def test_dates_say_that_they_are_utc_and_end_with_the_year_9999() -> None:
    assert human_date(1_900_000_000) == "2030-03-17 17:46 UTC"
    assert human_date(1 << 60) == "9999-12-31 23:59 UTC"


def test_one_thing_is_not_told_as_several() -> None:
    assert [counted(count, "pair") for count in (0, 1, 2)] == ["0 pairs", "1 pair", "2 pairs"]


def test_no_count_is_too_large_to_be_written() -> None:
    assert human_bytes(10**22) == f"{10**22} B"
