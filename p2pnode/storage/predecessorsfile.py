"""The file with an owner's earlier keys: JSON, because each is a signed record with what its catalogue opens with."""

from __future__ import annotations

import json
from collections.abc import Sequence

from p2pnode.protocols.successions import Predecessor, line_to, predecessors_from_fields, predecessors_to_fields
from wire.errors import WireError
from wire.ids import PublicKey


def predecessors_to_text(predecessors: Sequence[Predecessor]) -> str:
    """Return the text of the file."""
    return json.dumps(predecessors_to_fields(predecessors), indent=1) + "\n"


def predecessors_from_text(text: str, owner: PublicKey, *, network: str) -> tuple[Predecessor, ...]:
    """Return those that lead to the owner's key; others are of a rotation that was cut short. Raises `WireError`."""
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        message = f"expected JSON: {error}"
        raise WireError(message) from error
    return line_to(owner, predecessors_from_fields(fields, network=network))
