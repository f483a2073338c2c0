"""What can be wrong with bytes that claim to belong to a blob. Every message has the facts."""

from __future__ import annotations

from p2pnode.errors import CallerError


class CodingError(ValueError):
    """The root of this package's errors. They do not say who is at fault: that depends on where the input came from."""


class BlobTooLargeError(CodingError):
    """A length that the code's symbols cannot hold with this number of shards."""


class MetadataMismatchError(CodingError):
    """Metadata whose recomputed blob id is not the one that was asked for."""


class SliverMismatchError(CodingError):
    """A sliver of the wrong blob, index or length, or whose root is not the one in the metadata."""


class TooFewSliversError(CodingError):
    """Fewer than P primary and fewer than S secondary slivers."""


class DuplicateSliverError(CodingError):
    """The same sliver twice."""


class BadSymbolError(CodingError):
    """A symbol for another target, of another length, or whose proof does not lead to its source sliver's hash."""


class TooFewSymbolsError(CodingError):
    """Fewer symbols than the target sliver has."""


class DuplicateSymbolError(CodingError):
    """Two symbols from the same source sliver."""


class InconsistentBlobError(CodingError):
    """Verified slivers or symbols whose decoding contradicts the metadata: the writer did not encode a blob.

    `p2pnode.coding.find_inconsistency` and `prove_inconsistency` turn what was decoded into a proof for others.
    """


class NotInconsistentError(CodingError):
    """What claims to be an inconsistency proof does not convict."""


class KernelInputError(CodingError):
    """Arrays or indices that do not fit an operation of a kernel: our own mistake, found before it did harm."""


class KernelUnavailableError(CallerError):
    """The kernel that P2PNODE_KERNEL asks for is not to be had here; the message names those that are."""

    reason = "KERNEL_UNAVAILABLE"
