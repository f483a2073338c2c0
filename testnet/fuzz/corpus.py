"""Inputs that are kept: nasty ones made by hand, and findings, so that what was mended stays so.

`tests/fuzz/corpus/<target>/` has one file an input; a target's name has `-` where it is written with `/`.
"""

from __future__ import annotations

from pathlib import Path

import testnet
from testnet.fuzz.campaign import Finding

CORPUS = Path(testnet.__file__).parent.parent / "tests" / "fuzz" / "corpus"
"""Where the repository keeps them; an installed package has none."""


def directory_of(target: str, corpus: Path = CORPUS) -> Path:
    """Return where the inputs of a target are."""
    return corpus / target.replace("/", "-")


def read_corpus(target: str, corpus: Path = CORPUS) -> list[bytes]:
    """Return the kept inputs of a target, in the order of their names; none when there are none."""
    directory = directory_of(target, corpus)
    if not directory.is_dir():
        return []
    return [path.read_bytes() for path in sorted(directory.iterdir()) if path.is_file()]


def write_finding(finding: Finding, where: Path) -> Path:
    """Write the input of a finding below a directory, and return its path."""
    directory = directory_of(finding.target, where)
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / finding.name
    path.write_bytes(finding.data)
    return path
