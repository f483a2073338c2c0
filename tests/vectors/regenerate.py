"""The Red Stuff vectors: how their inputs were made, and how every field of them is made again.

`redstuff.json` is the output of the public Walrus encoder (`made_by` in the file), so nothing here may replace it. This
script computes the same file with our encoder: `python -m tests.vectors.regenerate | cmp - tests/vectors/redstuff.json`
is silent. `tests/coding/test_vectors.py` does that entry by entry; `tests/coding/slow_code.py` is the second witness.
"""

import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from p2pnode import bft
from p2pnode.coding import BlobTooLargeError, EncodedBlob, Sliver, encode, shard_of_pair
from wire.ids import PairIndex

Entry: TypeAlias = dict[str, int | str | list[str]]

FILE = Path(__file__).with_name("redstuff.json")

_DATA_TAG = b"walrus-lab-v1"
_LISTS = {"primary_hashes", "secondary_hashes", "primary_bcs_hex", "secondary_bcs_hex"}
"""Fields that only the entries of small blobs have."""


def load() -> list[Entry]:
    """Return the entries of the file."""
    entries: list[Entry] = json.loads(FILE.read_text(encoding="utf-8"))["vectors"]
    return entries


def vector_data(size: int) -> bytes:
    """Return the input of a vector: SHA-256 blocks over a tag, the size and a counter, cut to `size` bytes."""
    head = _DATA_TAG + size.to_bytes(8, "little")
    blocks = [hashlib.sha256(head + index.to_bytes(8, "little")).digest() for index in range(-(-size // 32))]
    return b"".join(blocks)[:size]


def regenerated(entry: Entry) -> Entry:
    """Return the entry that our encoder gives for the input of this one, with the same fields in the same order."""
    n, size = int(str(entry["n_shards"])), int(str(entry["size"]))
    data = vector_data(size)
    try:
        encoded = encode(data, n)
    except BlobTooLargeError:
        return {"n_shards": n, "size": size, "error": "Error: the data is too large to be encoded/decoded"}
    fields = {
        "n_shards": n,
        "f": bft.faulty(n),
        "primary_source": bft.primary_source(n),
        "secondary_source": bft.secondary_source(n),
        "size": size,
        "data_sha256": hashlib.sha256(data).hexdigest(),
        "encoding_type": "RS2",
        **_metadata_fields(encoded),
        **_sliver_fields(encoded),
    }
    wanted = [*entry, *(name for name in fields if name not in entry and name not in _LISTS)]
    return {name: fields[name] for name in wanted if name in fields}


def encoded_form(sliver: Sliver, *, symbol_bytes: int) -> bytes:
    """Return the form of a sliver that the vectors hash (spec section 3)."""
    sizes = symbol_bytes.to_bytes(2, "little") + sliver.index.to_bytes(2, "little")
    return _uleb128(len(sliver.data)) + bytes(sliver.data) + sizes


def _metadata_fields(encoded: EncodedBlob) -> Entry:
    metadata = encoded.metadata
    return {
        "blob_id": encoded.blob_id.text(),
        "blob_id_hex": encoded.blob_id.hex(),
        "root_hash": metadata.root.hex(),
        "unencoded_length": metadata.length,
        "symbol_size": metadata.symbol_bytes,
        "rotation": shard_of_pair(encoded.blob_id, PairIndex(0), metadata.n),
        "primary_hashes": [digest.hex() for digest in metadata.primary_hashes],
        "secondary_hashes": [digest.hex() for digest in reversed(metadata.secondary_hashes)],
    }


def _sliver_fields(encoded: EncodedBlob) -> Entry:
    pairs = [encoded.pair(PairIndex(index)) for index in range(encoded.metadata.n)]
    primaries, secondaries = zip(*pairs, strict=True)
    return _axis_fields("primary", encoded, primaries) | _axis_fields("secondary", encoded, secondaries)


def _axis_fields(axis: str, encoded: EncodedBlob, slivers: Sequence[Sliver]) -> Entry:
    forms = [encoded_form(sliver, symbol_bytes=encoded.metadata.symbol_bytes) for sliver in slivers]
    return {
        f"{axis}_sliver_bytes": len(slivers[0].data),
        f"{axis}_bcs_bytes": len(forms[0]),
        f"{axis}_bcs_sha256_all": hashlib.sha256(b"".join(forms)).hexdigest(),
        f"{axis}_bcs_hex": [form.hex() for form in forms],
    }


def _uleb128(value: int) -> bytes:
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + _uleb128(rest) if rest else bytes([low])


def main() -> None:
    """Write the whole file, as our encoder computes it, to standard output."""
    document = json.loads(FILE.read_text(encoding="utf-8"))
    entries = [regenerated(entry) for entry in document["vectors"]]
    json.dump(document | {"vectors": entries}, sys.stdout, indent=0)


if __name__ == "__main__":
    main()
