"""Bit-exact with the public Walrus encoder, and with a second witness that shares no code with ours."""

import hashlib

import pytest

from p2pnode.coding import BlobTooLargeError, blob_bytes_max, blob_id, decode, encode
from tests.coding import slow_code
from tests.vectors.regenerate import Entry, load, regenerated, vector_data

ENTRIES = {f"n{entry['n_shards']}-{entry['size']}-bytes": entry for entry in load()}
ENCODED = {name: entry for name, entry in ENTRIES.items() if "error" not in entry}
REJECTED = {name: entry for name, entry in ENTRIES.items() if "error" in entry}


def number(entry: Entry, name: str) -> int:
    return int(str(entry[name]))


SLOW = {
    name: entry for name, entry in ENCODED.items() if number(entry, "n_shards") <= 17 and number(entry, "size") <= 1024
}
"""What the slow witness can do in a moment."""

QUICK = {name: entry for name, entry in ENCODED.items() if number(entry, "n_shards") <= 100}
"""An encode for 1000 shards takes seconds; `test_decoder` decodes one."""


def test_the_file_is_whole() -> None:
    assert len(ENTRIES) == 51
    assert len(REJECTED) == 6
    assert {entry["n_shards"] for entry in ENCODED.values()} >= {4, 5, 6, 7, 8, 10, 33, 100, 1000}


@pytest.mark.parametrize("entry", ENCODED.values(), ids=ENCODED.keys())
def test_the_inputs_come_from_the_documented_generator(entry: Entry) -> None:
    assert hashlib.sha256(vector_data(number(entry, "size"))).hexdigest() == entry["data_sha256"]


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES.keys())
def test_every_field_of_every_vector_is_what_our_encoder_gives(entry: Entry) -> None:
    assert regenerated(entry) == entry


@pytest.mark.parametrize("entry", REJECTED.values(), ids=REJECTED.keys())
def test_what_the_other_encoder_rejects_is_too_large_for_ours(entry: Entry) -> None:
    n, size = number(entry, "n_shards"), number(entry, "size")
    assert blob_bytes_max(n) < size
    with pytest.raises(BlobTooLargeError, match=f"{blob_bytes_max(n)} bytes, got {size}"):
        blob_id(vector_data(size), n)


@pytest.mark.parametrize("entry", SLOW.values(), ids=SLOW.keys())
def test_the_second_witness_agrees_with_the_vectors(entry: Entry) -> None:
    slow = slow_code.encoded(vector_data(number(entry, "size")), number(entry, "n_shards"))
    assert slow.blob_id.hex() == entry["blob_id_hex"]
    assert slow.root.hex() == entry["root_hash"]
    assert [digest.hex() for digest in slow.primary_hashes] == entry["primary_hashes"]
    assert [digest.hex() for digest in reversed(slow.secondary_hashes)] == entry["secondary_hashes"]


@pytest.mark.parametrize("n", [4, 6, 7, 9, 10, 13])
@pytest.mark.parametrize("symbol_bytes", [2, 62, 64, 66, 130])
def test_the_second_witness_agrees_with_our_encoder_for_every_kind_of_symbol(n: int, symbol_bytes: int) -> None:
    rows, columns = n - 2 * ((n - 1) // 3), n - (n - 1) // 3
    data = vector_data(rows * columns * symbol_bytes - 1)
    slow = slow_code.encoded(data, n)
    encoded = encode(data, n)
    assert encoded.metadata.symbol_bytes == symbol_bytes
    assert encoded.blob_id == slow.blob_id
    for index in range(n):
        assert encoded.primary(index).data == b"".join(slow.matrix[index][:columns])
        assert encoded.secondary(index).data == b"".join(slow.matrix[row][index] for row in range(rows))


@pytest.mark.parametrize("entry", QUICK.values(), ids=QUICK.keys())
def test_vectors_decode_from_recovery_slivers_alone(entry: Entry) -> None:
    n, size = number(entry, "n_shards"), number(entry, "size")
    encoded = encode(vector_data(size), n)
    last = range(n - number(entry, "primary_source"), n)
    assert decode(encoded.metadata, [encoded.primary(index) for index in last]) == vector_data(size)
