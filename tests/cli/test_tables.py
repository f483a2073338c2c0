"""Claims about tables: ids stay whole and columns aligned, however narrow the terminal is."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from p2pnode.cli.tables import Row, table_lines

TITLES = Row(("name", "size"), ("id", "addresses"))
ID = "x" * 40
LONG = Row(("the lighthouse at the end of the world.mp4", "1.0 MB"), (ID, "/ip4/192.0.2.7/tcp/4710"))
WIDE = Row(("灯台", "20.0 MB"), ("y" * 40, ""))


def test_without_a_terminal_each_row_is_one_line_and_its_columns_are_below_their_titles() -> None:
    assert table_lines(TITLES, [LONG, WIDE], width=None) == [
        f"name{' ' * 38}  size     id{' ' * 38}  addresses",
        f"the lighthouse at the end of the world.mp4  1.0 MB   {ID}  /ip4/192.0.2.7/tcp/4710",
        f"灯台{' ' * 38}  20.0 MB  {'y' * 40}",
    ]


def test_a_wide_terminal_gets_the_same() -> None:
    lines = table_lines(TITLES, [LONG, WIDE], width=None)
    width = max(cell_len(line) for line in lines)
    assert table_lines(TITLES, [LONG, WIDE], width=width) == lines
    assert len(table_lines(TITLES, [LONG, WIDE], width=width - 1)) > len(lines)


def test_a_narrow_terminal_gets_what_must_stay_whole_on_lines_of_its_own() -> None:
    assert table_lines(TITLES, [LONG], width=60) == [
        f"name{' ' * 38}  size",
        "  id",
        "  addresses",
        "the lighthouse at the end of the world.mp4  1.0 MB",
        f"  {ID}",
        "  /ip4/192.0.2.7/tcp/4710",
    ]


@pytest.mark.parametrize(("width", "cut"), [(30, "the lighthouse at the…"), (5, "the lig…")])
def test_a_name_that_does_not_fit_is_cut_where_that_is_allowed(width: int, cut: str) -> None:
    lines = table_lines(TITLES, [LONG], width=width, cuts_first=True)
    assert any(line.startswith(cut + "  ") for line in lines)
    assert f"  {ID}" in lines
    wide = table_lines(TITLES, [WIDE], width=5, cuts_first=True)
    assert wide[3].startswith("灯台"), "what is short is not cut"


def test_text_from_elsewhere_is_one_printable_line() -> None:
    lines = table_lines(TITLES, [Row(("a\x1b[31m\nb", "1 B"), (ID, "z"))], width=None)
    assert len(lines) == 2
    assert all(line.isprintable() for line in lines)


def test_what_is_not_there_takes_no_line() -> None:
    assert "" not in [line.strip() for line in table_lines(TITLES, [WIDE], width=20)]
