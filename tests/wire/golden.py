"""Golden bytes: what they are, and the reader of annotated hex.

An encoding is written one field a line, with comments after `#`; `ab*32` stands for 32 bytes of ab. A change of any of
these lines is a change of the wire format, which older nodes do not understand.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_REPEATED = re.compile(r"([0-9a-f]{2})\*(\d+)")


def from_hex(annotated: str) -> bytes:
    """Return the bytes that annotated hex stands for. Raises `ValueError` when it is not hex."""
    lines = [line.partition("#")[0] for line in annotated.splitlines()]
    text = _REPEATED.sub(lambda match: match[1] * int(match[2]), " ".join(lines))
    return bytes.fromhex(text)


@dataclass(frozen=True)
class Golden:
    """One value and its one encoding."""

    value: object
    annotated: str
    case: str = ""

    @property
    def name(self) -> str:
        """What a failing test is called."""
        return f"{type(self.value).__name__} {self.case}".rstrip()

    @property
    def data(self) -> bytes:
        """The encoding."""
        return from_hex(self.annotated)
