"""The planted bugs: one file each in `patches`, whose name is the bug's.

The first line says what the bug breaks. After a blank line stand the fields `module`, `scenarios` (the likeliest first)
and perhaps `nodes`, then hunks as in a unified diff, each after a line `@@`; where they belong, their text decides.
"""

from __future__ import annotations

from pathlib import Path

from testnet.sim.mutants.planting import Edit, Mutant

PATCHES = Path(__file__).with_name("patches")

_HUNK = "@@\n"


def all_mutants() -> dict[str, Mutant]:
    """Return every planted bug by its name, in the order of the names."""
    return {path.stem: parse(path.stem, path.read_text(encoding="utf-8")) for path in sorted(PATCHES.glob("*.patch"))}


def parse(name: str, text: str) -> Mutant:
    """Return the planted bug that a file describes. Raises `KeyError` or `ValueError` when it is not as said above."""
    head, *hunks = text.split(_HUNK)
    breaks, _, rest = head.partition("\n\n")
    fields = dict(line.split(": ", 1) for line in rest.splitlines())
    nodes = fields.pop("nodes", None)
    return Mutant(
        name=name,
        module=fields.pop("module"),
        edits=tuple(_edit(hunk.splitlines()) for hunk in hunks),
        breaks=breaks,
        scenarios=tuple(fields.pop("scenarios").split()),
        nodes=None if nodes is None else int(nodes),
    )


def _edit(lines: list[str]) -> Edit:
    if not lines or any(line[:1] not in {" ", "-", "+"} for line in lines):
        message = f"each line of a hunk begins with a space, - or +: {lines}"
        raise ValueError(message)
    old = "".join(f"{line[1:]}\n" for line in lines if not line.startswith("+"))
    return Edit(old, "".join(f"{line[1:]}\n" for line in lines if not line.startswith("-")))
