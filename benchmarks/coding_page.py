"""Putting the figures of `benchmarks/coding.py` into a page, between two marks; what stands around them is kept."""

from __future__ import annotations

from pathlib import Path

from benchmarks.coding_results import Results
from benchmarks.coding_tables import Rows, all_tables

BEGIN = "<!-- figures: python -m benchmarks.coding writes them -->"
END = "<!-- end of figures -->"


def replace_figures(path: Path, results: Results, *, rounds: int) -> None:
    """Write all tables between the marks of the page. Raises `ValueError` when it has none."""
    text = path.read_text("utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        message = f"{path} has no place for figures: {BEGIN} and {END}"
        raise ValueError(message)
    path.write_text(f"{before}{BEGIN}\n\n{figures(results, rounds=rounds)}\n{END}{after}", "utf-8")


def figures(results: Results, *, rounds: int) -> str:
    """Return all tables as Markdown."""
    facts = "; ".join(f"{name}: {value}" for name, value in results.machine.items())
    limit = results.limits
    rates = (
        f"One core of this machine copies {1e-9 / limit['copy_s']:.1f} GB/s, fills fresh memory with "
        f"{1e-9 / limit['fresh_s']:.1f} GB/s, and hashes with {results.kernel} {1e-6 / limit['node_s']:.1f} million "
        f"nodes or {1e-9 * 128 / limit['block_s']:.2f} GB of long messages a second."
    )
    parts = [f"Measured: {facts}; medians of {rounds} rounds.", *map(_markdown, all_tables(results)), rates]
    return "\n\n".join([*parts, *(f"Not measured: {note}" for note in results.notes)]) + "\n"


def _markdown(rows: Rows) -> str:
    head, *body = rows.rows
    lines = [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *body)]
    return f"**{rows.title}**\n\n" + "\n".join(lines)
