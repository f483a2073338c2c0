"""Red Stuff, the two-dimensional erasure code of the network: encode, verify, decode, recover, convict.

The format is `docs/spec/RED_STUFF.md`, to the byte. Everything here is a function of its arguments and may run in
several threads at once. `EncodeJob` and `DecodeJob` are the long ones, in parts for a caller that has threads. A
compiled kernel does the work where there is one, see `choice`.

What comes from a peer is checked by `check_metadata`, `verify_sliver`, `verify_symbol` and `verify_inconsistency`; a
wrong input raises one of `CodingError`'s kinds, or `BadShardCountError`.
"""

from __future__ import annotations

from p2pnode.bft import BadShardCountError
from p2pnode.coding.consistency import (
    InconsistencyProof,
    find_inconsistency,
    prove_inconsistency,
    verify_inconsistency,
)
from p2pnode.coding.decoder import DecodeJob, decode
from p2pnode.coding.encoder import EncodedBlob, EncodeJob, blob_id, encode
from p2pnode.coding.errors import (
    BadSymbolError,
    BlobTooLargeError,
    CodingError,
    DuplicateSliverError,
    DuplicateSymbolError,
    InconsistentBlobError,
    KernelInputError,
    KernelUnavailableError,
    MetadataMismatchError,
    NotInconsistentError,
    SliverMismatchError,
    TooFewSliversError,
    TooFewSymbolsError,
)
from p2pnode.coding.jobs import Job, Part, run
from p2pnode.coding.kernel import Choice, choice
from p2pnode.coding.memory import SpareMemory
from p2pnode.coding.metadata import PAIR_HASH_BYTES, BlobMetadata, blob_id_of_root, check_metadata
from p2pnode.coding.recovery import (
    SymbolProof,
    claimed_symbols,
    jointly_claimed_symbols,
    recover_sliver,
    symbol_with_proof,
    symbols_with_proofs,
    verify_symbol,
)
from p2pnode.coding.shape import (
    across,
    blob_bytes_max,
    pair_of_primary,
    pair_of_secondary,
    pair_of_shard,
    primary_bytes,
    secondary_bytes,
    shard_of_pair,
    symbol_bytes,
)
from p2pnode.coding.sliver import Sliver, verify_sliver

__all__ = [
    "PAIR_HASH_BYTES",
    "BadShardCountError",
    "BadSymbolError",
    "BlobMetadata",
    "BlobTooLargeError",
    "Choice",
    "CodingError",
    "DecodeJob",
    "DuplicateSliverError",
    "DuplicateSymbolError",
    "EncodeJob",
    "EncodedBlob",
    "InconsistencyProof",
    "InconsistentBlobError",
    "Job",
    "KernelInputError",
    "KernelUnavailableError",
    "MetadataMismatchError",
    "NotInconsistentError",
    "Part",
    "Sliver",
    "SliverMismatchError",
    "SpareMemory",
    "SymbolProof",
    "TooFewSliversError",
    "TooFewSymbolsError",
    "across",
    "blob_bytes_max",
    "blob_id",
    "blob_id_of_root",
    "check_metadata",
    "choice",
    "claimed_symbols",
    "decode",
    "encode",
    "find_inconsistency",
    "jointly_claimed_symbols",
    "pair_of_primary",
    "pair_of_secondary",
    "pair_of_shard",
    "primary_bytes",
    "prove_inconsistency",
    "recover_sliver",
    "run",
    "secondary_bytes",
    "shard_of_pair",
    "symbol_bytes",
    "symbol_with_proof",
    "symbols_with_proofs",
    "verify_inconsistency",
    "verify_sliver",
    "verify_symbol",
]
