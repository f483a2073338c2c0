"""The codec: what each shape accepts on both sides, and how types are registered."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import msgpack
import pytest

from tests.wire.golden import from_hex
from wire import codec, limits
from wire.codec import Nested, OneOf, decode, encode, tag_of, wire_type
from wire.errors import WireError
from wire.ids import BlobId, Digest
from wire.messages import GetRecord, NoRecord
from wire.records import MemberState, ShardSet
from wire.shapes import OURS, Bool, Fixed, ListOf, Maybe, Packed, Raw, Shape, Text, UInt

BLOB = BlobId(b"\xab" * 32)
OTHER = BlobId(b"\xcd" * 32)
SET = ShardSet(shard=1, blobs=b"\x01")


@wire_type(0x6C)
@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A type of the tests with one number of any size."""

    value: Annotated[int, UInt(limits.UINT64_MAX)]


@wire_type(0x6D)
@dataclass(frozen=True, slots=True, kw_only=True)
class Tiny:
    """A type whose lists would have the shortest items that there can be."""

    items: Annotated[tuple[NoRecord, ...], ListOf(Nested(NoRecord), 1000)]


NUMBERS = {
    0: "00",
    127: "7f",
    128: "cc 80",
    255: "cc ff",
    256: "cd 0100",
    65_535: "cd ffff",
    65_536: "ce 00010000",
    2**32 - 1: "ce ffffffff",
    2**32: "cf 0000000100000000",
    2**64 - 1: "cf ff*8",
}


@pytest.mark.parametrize(("value", "spelling"), NUMBERS.items(), ids=str)
def test_a_number_has_its_shortest_spelling(value: int, spelling: str) -> None:
    data = from_hex("92 6c" + spelling)
    assert encode(Number(value=value)) == data
    assert decode(data, Number, bytes_max=100) == Number(value=value)


ACCEPTED: dict[str, tuple[Shape, object, object]] = {
    "lowest number": (UInt(9, low=2), 2, 2),
    "highest number": (UInt(9, low=2), 9, 9),
    "member of an enumeration": (UInt(2), MemberState.DRAINING, 2),
    "true": (Bool(), True, True),
    "id": (Fixed(BlobId), BLOB, bytes(BLOB)),
    "id as plain bytes": (Fixed(BlobId), bytes(BLOB), bytes(BLOB)),
    "shortest bytes": (Raw(3, low=1), b"a", b"a"),
    "longest bytes": (Raw(3, low=1), b"abc", b"abc"),
    "shortest text": (Text(3, low=1), "a", "a"),
    "longest text counts characters, not bytes": (Text(3, low=1), "äöü", "äöü"),
    "shortest list": (ListOf(UInt(9), 2, low=1), (1,), [1]),
    "longest list": (ListOf(UInt(9), 2, low=1), (1, 2), [1, 2]),
    "no ids": (Packed(BlobId, 2), (), b""),
    "most ids": (Packed(BlobId, 2), (BLOB, OTHER), bytes(BLOB + OTHER)),
    "nothing": (Maybe(UInt(9)), None, None),
    "something": (Maybe(UInt(9)), 5, 5),
    "another type": (Nested(ShardSet), SET, [0x1A, 1, b"\x01"]),
    "one of two types": (OneOf((NoRecord, ShardSet)), SET, [0x1A, 1, b"\x01"]),
    "the other of two types": (OneOf((NoRecord, ShardSet)), NoRecord(), [0x2B]),
}


@pytest.mark.parametrize(("shape", "value", "plain"), ACCEPTED.values(), ids=ACCEPTED)
def test_a_shape_writes_and_reads_what_it_stands_for(shape: Shape, value: object, plain: object) -> None:
    packed = shape.pack(value)
    assert packed == plain
    assert type(packed) is type(plain)
    assert shape.unpack(plain, "here") == value


REFUSED: dict[str, tuple[Shape, object, str]] = {
    "number too low": (UInt(9, low=2), 1, "expected 2 to 9, got 1"),
    "number too high": (UInt(9, low=2), 10, "expected 2 to 9, got 10"),
    "negative number": (UInt(9), -1, "expected 0 to 9, got -1"),
    "float for a number": (UInt(9), 5.0, "expected a whole number, got float"),
    "boolean for a number": (UInt(9), True, "expected a whole number, got bool"),
    "text for a number": (UInt(9), "5", "expected a whole number, got str"),
    "number for a boolean": (Bool(), 1, "expected true or false, got int"),
    "nothing for a boolean": (Bool(), None, "expected true or false, got NoneType"),
    "id too short": (Fixed(BlobId), bytes(31), "expected 32 bytes, got 31 bytes"),
    "id too long": (Fixed(BlobId), bytes(33), "expected 32 bytes, got 33 bytes"),
    "text for an id": (Fixed(BlobId), "a" * 32, "expected 32 bytes, got str"),
    "bytes too short": (Raw(3, low=1), b"", "expected 1 to 3 bytes, got 0"),
    "bytes too long": (Raw(3, low=1), b"abcd", "expected 1 to 3 bytes, got 4"),
    "number for bytes": (Raw(3), 2, "expected bytes, got int"),
    "text too short": (Text(3, low=1), "", "expected 1 to 3 characters, got 0"),
    "text too long": (Text(3, low=1), "abcd", "expected 1 to 3 characters, got 4"),
    "bytes for text": (Text(3), b"a", "expected text, got bytes"),
    "text for ids": (Packed(BlobId, 2), "a" * 32, "got str"),
    "line break in text": (Text(3), "a\nb", "unprintable"),
    "terminal escape in text": (Text(3), "\x1b[m", "unprintable"),
    "text that runs backwards": (Text(3), "a\u202eb", "unprintable"),
    "half of a surrogate pair": (Text(3), "\ud800", "unprintable"),
    "another type than the nested one": (Nested(ShardSet), NoRecord(), "expected"),
    "none of two types": (OneOf((NoRecord, ShardSet)), BLOB, "expected"),
}


@pytest.mark.parametrize(("shape", "value", "message"), REFUSED.values(), ids=REFUSED)
def test_a_shape_refuses_on_both_sides_and_says_where(shape: Shape, value: object, message: str) -> None:
    with pytest.raises(WireError, match=f"^{OURS}.*{message}"):
        shape.pack(value)
    with pytest.raises(WireError, match=f"^here.*{message}"):
        shape.unpack(value, "here")


LISTS: dict[str, tuple[object, object, str]] = {
    "too few": ((), [], "expected 1 to 2 items, got 0"),
    "too many": ((1, 2, 3), [1, 2, 3], "expected 1 to 2 items, got 3"),
    "not a list": (1, 1, "got int"),
    "text": ("12", "12", "got str"),
    "wrong item": ((1, 10), [1, 10], "expected 0 to 9, got 10"),
}


@pytest.mark.parametrize(("ours", "theirs", "message"), LISTS.values(), ids=LISTS)
def test_a_list_refuses_on_both_sides(ours: object, theirs: object, message: str) -> None:
    shape = ListOf(UInt(9), 2, low=1)
    with pytest.raises(WireError, match=message):
        shape.pack(ours)
    with pytest.raises(WireError, match=message):
        shape.unpack(theirs, "here")


def test_our_own_lists_are_tuples_so_that_nobody_changes_what_was_signed() -> None:
    with pytest.raises(WireError, match="expected a tuple, got list"):
        ListOf(UInt(9), 2).pack([1])
    with pytest.raises(WireError, match="expected a tuple, got list"):
        Packed(BlobId, 2).pack([BLOB])


IDS: dict[str, tuple[object, object, str]] = {
    "too many": ((BLOB,) * 3, bytes(BLOB * 3), "expected up to 2 times 32 bytes, got 96"),
    "one that is cut": ((BLOB, bytes(31)), bytes(BLOB) + bytes(31), "32 bytes"),
    "one that is too long": ((bytes(33),), bytes(33), "32 bytes"),
    "two of half the length": ((bytes(16), bytes(16)), [bytes(32)], "32 bytes|got list"),
    "numbers": ((1, 2), 2, "32 bytes|got int"),
}


@pytest.mark.parametrize(("ours", "theirs", "message"), IDS.values(), ids=IDS)
def test_ids_that_are_packed_are_refused_on_both_sides(ours: object, theirs: object, message: str) -> None:
    shape = Packed(BlobId, 2)
    with pytest.raises(WireError, match=f"^{OURS}.*({message})"):
        shape.pack(ours)
    with pytest.raises(WireError, match=f"^here.*({message})"):
        shape.unpack(theirs, "here")


def test_ids_that_are_packed_are_read_as_ids() -> None:
    assert [type(each) for each in Packed(BlobId, 2).unpack(bytes(64), "here")] == [BlobId, BlobId]


def test_the_place_of_a_wrong_item_is_named() -> None:
    with pytest.raises(WireError, match=r"here\[1\]: expected 0 to 9, got 10"):
        ListOf(UInt(9), 2).unpack([1, 10], "here")


def test_a_field_of_ours_that_breaks_its_limit_is_named() -> None:
    with pytest.raises(WireError, match=r"^ShardSet.shard: our own value: expected 0 to 999, got 1000$"):
        encode(ShardSet(shard=1000, blobs=b"\x01"))


def test_a_field_of_theirs_that_breaks_its_limit_is_named() -> None:
    with pytest.raises(WireError, match=r"^ShardSet.shard: expected 0 to 999, got 1000$"):
        decode(from_hex("93 1a cd03e8 c40101"), ShardSet, bytes_max=100)


@pytest.mark.parametrize("data", ["", "90", "c0", "2b", "91 c3", "91 c401 2b", "80", "91 90"])
def test_what_does_not_start_with_a_tag_is_refused(data: str) -> None:
    with pytest.raises(WireError, match=r"not msgpack|expected an array that starts with a tag"):
        decode(from_hex(data), NoRecord, bytes_max=100)


NOT_MSGPACK = {
    "nothing": "",
    "a byte that msgpack never uses": "c1",
    "an array without its items": "92 2b",
    "bytes that are cut": "93 29 c4 20 ab*31",
    "bytes that announce four gigabytes": "93 29 c6 ffffffff",
    "an array that announces four billion items": "dd ffffffff",
    "a map that announces four billion items": "df ffffffff",
    "a map": "92 2b 81 01 01",
    "an extension of one byte": "92 2b d4 05 00",
    "a timestamp": "92 2b d6 ff 00000000",
    "text that is not UTF-8": "93 20 03 a1 ff",
    "a half of a surrogate pair": "93 20 03 a3 eda080",
}


@pytest.mark.parametrize("data", NOT_MSGPACK.values(), ids=NOT_MSGPACK)
def test_what_is_no_msgpack_of_ours_is_refused_as_such(data: str) -> None:
    with pytest.raises(WireError, match="not msgpack of ours"):
        decode(from_hex(data), NoRecord, GetRecord, bytes_max=100)


@pytest.mark.parametrize("data", ["80", "c7 00 05", "92 6c 80", "92 6c c7 00 05"])
def test_a_map_or_extension_without_content_is_refused_too(data: str) -> None:
    with pytest.raises(WireError, match=r"expected an array|expected a whole number"):
        decode(from_hex(data), Number, bytes_max=100)


def test_two_messages_at_once_are_refused() -> None:
    with pytest.raises(WireError, match="extra data"):
        decode(encode(NoRecord()) * 2, NoRecord, bytes_max=100)


def test_a_longer_spelling_is_refused_as_not_canonical() -> None:
    with pytest.raises(WireError, match="Number: not in canonical form"):
        decode(from_hex("92 6c cc05"), Number, bytes_max=100)


def test_more_arrays_than_bytes_can_honestly_hold_are_refused() -> None:
    allowed = limits.ARRAYS_FREE - 2  # Without the array of `Tiny` itself and that of its items.
    assert len(decode(encode(Tiny(items=(NoRecord(),) * allowed)), Tiny, bytes_max=10_000).items) == allowed
    with pytest.raises(WireError, match="arrays in so few bytes"):
        decode(encode(Tiny(items=(NoRecord(),) * 100)), Tiny, bytes_max=10_000)


def test_a_tag_belongs_to_one_type() -> None:
    with pytest.raises(AssertionError, match="tag 0x2b of Again is taken by NoRecord"):

        @wire_type(0x2B)
        @dataclass(frozen=True, slots=True, kw_only=True)
        class Again:
            """Never registered."""

    assert tag_of(NoRecord) == 0x2B


def test_the_longest_array_of_a_type_is_found_behind_every_shape() -> None:
    @wire_type(0x6E)
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Outer:
        """Lists in lists, behind a value that may be absent and behind another type."""

        absent: Annotated[tuple[int, ...] | None, Maybe(ListOf(UInt(1), 70))]
        nested: Annotated[Tiny, Nested(Tiny)]
        either: Annotated[NoRecord | Tiny, OneOf((NoRecord, Tiny))]
        lists: Annotated[tuple[tuple[Digest, ...], ...], ListOf(ListOf(Fixed(Digest), 1500), 3)]

    layouts = codec._Layouts.by_type
    assert layouts[Outer].items_max == 1500
    assert layouts[Tiny].items_max == 1000
    assert layouts[NoRecord].items_max == 1
    assert layouts[Number].items_max == 2


def test_floats_never_occur_not_even_whole_ones() -> None:
    for value in (0.0, 1.0, math.inf, math.nan):
        with pytest.raises(WireError, match="expected a whole number, got float"):
            decode(msgpack.packb([0x6C, value]), Number, bytes_max=100)
