"""References: what `put` prints and `get` takes. `<id>` names a blob, `file:<id>` a file by its root manifest."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from wire.errors import WireError
from wire.ids import BlobId


class ReferenceKind(enum.StrEnum):
    """What a reference names."""

    BLOB = "blob"
    FILE = "file"


_FILE_PREFIX = "file:"


@dataclass(frozen=True, slots=True)
class Reference:
    """A kind and the id of a blob, or of the root manifest of a file."""

    kind: ReferenceKind
    blob_id: BlobId

    def text(self) -> str:
        """Return the printed form."""
        prefix = _FILE_PREFIX if self.kind is ReferenceKind.FILE else ""
        return prefix + self.blob_id.text()

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read the printed form. Raises `WireError` that says what a reference looks like."""
        kind = ReferenceKind.FILE if text.startswith(_FILE_PREFIX) else ReferenceKind.BLOB
        try:
            return cls(kind, BlobId.parse(text.removeprefix(_FILE_PREFIX)))
        except WireError as error:
            message = f"{text!r} is no reference: expected '<id>' or 'file:<id>' as printed by put ({error})"
            raise WireError(message) from error
