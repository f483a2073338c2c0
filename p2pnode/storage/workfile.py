"""The file with a home's solution of the admission work: one line, `p2pnode-work-v1 <base64 of the 48 bytes>`."""

from __future__ import annotations

import base64
import binascii

from crypto.work import WORK_BYTES
from wire.errors import WireError

_HEADER = "p2pnode-work-v1"


def work_to_text(work: bytes) -> str:
    """Return the text of the file."""
    return f"{_HEADER} {base64.b64encode(work).decode('ascii')}\n"


def work_from_text(text: str) -> bytes:
    """Read the text of the file. Raises `WireError`; whether the solution is right is another question."""
    header, _, encoded = text.strip().partition(" ")
    try:
        work = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        message = "the solution is not in base64"
        raise WireError(message) from error
    if header != _HEADER or len(work) != WORK_BYTES:
        message = f"expected '{_HEADER}' and {WORK_BYTES} bytes in base64"
        raise WireError(message)
    return work
