"""Strictness: whatever differs from the one encoding of a value raises `WireError`, and nothing else."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import msgpack
import pytest

from tests.wire.golden import Golden
from tests.wire.strategies import KINDS
from tests.wire.test_golden import GOLDEN
from wire import limits
from wire.challenges import Absent, Challenge, Proven, StorageProof
from wire.codec import decode, encode, tag_of
from wire.errors import WireError
from wire.evidence import TellVerdict
from wire.invitations import Invitation
from wire.messages import BlobRecord, DialledBack, ExchangeMembers, ListPages, OwnRecord, SetsCompared
from wire.ownership import HeadKept, Succession, SuccessionKept
from wire.records import Lease

Plain = list[object]
Path = tuple[int, ...]

ABSENT: set[tuple[type[object], Path]] = {
    (ExchangeMembers, (2,)),
    (ExchangeMembers, (3,)),
    (OwnRecord, (1,)),
    (HeadKept, (1,)),
    (Succession, (5,)),
    (SuccessionKept, (1,)),
    (Invitation, (4,)),
    (SetsCompared, (1,)),
    (ListPages, (2,)),
    (Lease, (5,)),
    (TellVerdict, (4,)),
    (Challenge, (5,)),
    (StorageProof, (12,)),
    (Proven, (2,)),
    (Absent, (2,)),
}
"""Where nothing may stand."""

WRONG: tuple[object, ...] = (
    None,
    True,
    -1,
    -(2**63),
    0.0,
    1.5,
    float("nan"),
    "text",
    b"x",
    [],
    {},
    {1: 2},
    msgpack.ExtType(5, b""),
    msgpack.ExtType(5, b"ext"),
    msgpack.Timestamp(1),
)
"""Values of every kind that msgpack has; each is wrong wherever a value of another kind belongs."""

every_golden = pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: golden.name)


def refuse(data: bytes, kind: type[object]) -> None:
    with pytest.raises(WireError):
        decode(data, kind, bytes_max=limits.MESSAGE_BYTES_MAX)


def plain_of(golden: Golden) -> Plain:
    plain: Plain = msgpack.unpackb(golden.data, use_list=True, raw=False)
    return plain


def positions(plain: object, at: Path = ()) -> Iterator[tuple[Path, object]]:
    """Yield the place and the value of everything in a plain value, the whole included."""
    yield at, plain
    if isinstance(plain, list):
        for index, item in enumerate(plain):
            yield from positions(item, (*at, index))


def replaced(plain: Plain, at: Path, new: object) -> object:
    """Return a copy in which one place has another value."""
    if not at:
        return new
    changed = copy.deepcopy(plain)
    inner = changed
    for index in at[:-1]:
        deeper = inner[index]
        assert isinstance(deeper, list)
        inner = deeper
    inner[at[-1]] = new
    return changed


def pack(plain: object) -> bytes:
    packed = msgpack.packb(plain, use_bin_type=True)
    assert isinstance(packed, bytes)
    return packed


# ------------------------------------------------------------------------------- tags, fields, types


@every_golden
def test_every_other_tag_is_refused(golden: Golden) -> None:
    plain = plain_of(golden)
    for tag in range(256):
        if tag != plain[0]:
            refuse(pack([tag, *plain[1:]]), type(golden.value))


@every_golden
def test_a_tag_that_is_known_but_not_expected_here_is_refused(golden: Golden) -> None:
    others = [kind for kind in KINDS if kind is not type(golden.value)]
    with pytest.raises(WireError, match=f"unknown tag {tag_of(type(golden.value))}"):
        decode(golden.data, *others, bytes_max=limits.MESSAGE_BYTES_MAX)


@every_golden
@pytest.mark.parametrize("extra", [None, 0, b"", []], ids=repr)
def test_an_extra_field_is_refused_at_every_depth(golden: Golden, extra: object) -> None:
    plain = plain_of(golden)
    for at, value in positions(plain):
        if isinstance(value, list) and value and type(value[0]) is int and not _is_list_of_numbers(golden, at):
            refuse(pack(replaced(plain, at, [*value, extra])), type(golden.value))


def _is_list_of_numbers(golden: Golden, at: Path) -> bool:
    """Tell whether this place is a list of plain numbers; any other array of numbers starts with a tag."""
    return (type(golden.value), at) in ((BlobRecord, (2,)), (DialledBack, (1,)), (ListPages, (1,)))


@every_golden
def test_each_missing_field_is_refused(golden: Golden) -> None:
    plain = plain_of(golden)
    for index in range(len(plain)):
        refuse(pack(plain[:index] + plain[index + 1 :]), type(golden.value))


@every_golden
def test_a_value_of_another_type_is_refused_at_every_place(golden: Golden) -> None:
    plain = plain_of(golden)
    for at, value in positions(plain):
        for wrong in WRONG:
            is_negative = type(wrong) is int  # No number in WRONG is anything else, and none is ever right.
            may_be_absent = wrong is None and (type(golden.value), at) in ABSENT
            if (is_negative or type(wrong) is not type(value)) and not may_be_absent:
                refuse(pack(replaced(plain, at, wrong)), type(golden.value))


@every_golden
def test_the_largest_number_is_refused_or_kept_as_it_is_at_every_place(golden: Golden) -> None:
    plain = plain_of(golden)
    for at, value in positions(plain):
        if type(value) is int:
            data = pack(replaced(plain, at, limits.UINT64_MAX))
            _refuse_or_return(data, type(golden.value))


@every_golden
def test_bytes_of_every_other_length_are_refused_or_kept_as_they_are(golden: Golden) -> None:
    plain = plain_of(golden)
    for at, value in positions(plain):
        if type(value) is bytes:
            for changed in (b"", value[:-1], value + b"\0", value * 2):
                _refuse_or_return(pack(replaced(plain, at, changed)), type(golden.value))


def _refuse_or_return(data: bytes, kind: type[object]) -> None:
    try:
        value = decode(data, kind, bytes_max=limits.MESSAGE_BYTES_MAX)
    except WireError:
        return
    assert encode(value) == data


# --------------------------------------------------------------------------------- length and depth


@every_golden
def test_every_cut_is_refused(golden: Golden) -> None:
    for count in range(len(golden.data)):
        refuse(golden.data[:count], type(golden.value))


@every_golden
def test_every_trailing_byte_is_refused(golden: Golden) -> None:
    for tail in range(256):
        refuse(golden.data + bytes([tail]), type(golden.value))


@every_golden
def test_a_message_may_have_its_limit_and_not_a_byte_more(golden: Golden) -> None:
    count = len(golden.data)
    assert decode(golden.data, type(golden.value), bytes_max=count) == golden.value
    with pytest.raises(WireError, match=f"may have {count - 1} bytes, got {count}"):
        decode(golden.data, type(golden.value), bytes_max=count - 1)


@pytest.mark.parametrize("depth", [1, 2, 100, 1023, 1024, 1025, 100_000])
@every_golden
def test_deep_nesting_is_refused(golden: Golden, depth: int) -> None:
    refuse(b"\x91" * depth + golden.data, type(golden.value))
    refuse(b"\x92\x01" * depth + golden.data, type(golden.value))


def test_nested_arrays_that_announce_millions_of_items_allocate_nothing() -> None:
    heads = limits.MESSAGE_BYTES_MAX // 5
    hostile = (b"\xdd" + heads.to_bytes(4, "big")) * heads  # Each could hold all that follow it, for all msgpack knows.
    for kind in KINDS:
        with pytest.raises(WireError, match="max_array_len"):
            decode(hostile, kind, bytes_max=limits.MESSAGE_BYTES_MAX)


# ------------------------------------------------------------------------------ one spelling of each


def _int_spellings(value: int) -> list[bytes]:
    unsigned = [(0xCC, 1), (0xCD, 2), (0xCE, 4), (0xCF, 8)]
    signed = [(0xD0, 1), (0xD1, 2), (0xD2, 4), (0xD3, 8)]
    spelt = [bytes([head]) + value.to_bytes(size, "big") for head, size in unsigned if value < 1 << 8 * size]
    spelt += [bytes([head]) + value.to_bytes(size, "big") for head, size in signed if value < 1 << (8 * size - 1)]
    return spelt


def _sized(heads: tuple[tuple[int, int], ...], count: int, content: bytes) -> list[bytes]:
    return [bytes([head]) + count.to_bytes(size, "big") + content for head, size in heads if count < 1 << 8 * size]


def _bytes_spellings(value: bytes) -> list[bytes]:
    return _sized(((0xC4, 1), (0xC5, 2), (0xC6, 4), (0xD9, 1), (0xDA, 2), (0xDB, 4)), len(value), value)


def _array_spellings(items: list[bytes]) -> list[bytes]:
    return _sized(((0xDC, 2), (0xDD, 4)), len(items), b"".join(items))


def _respelt(plain: object) -> Iterator[bytes]:
    """Yield encodings of a plain value in which exactly one thing is spelt in another way."""
    canonical = pack(plain)
    spellings: list[bytes] = []
    match plain:
        case list():
            items = [pack(item) for item in plain]
            head = canonical[: len(canonical) - sum(map(len, items))]
            for index, item in enumerate(plain):
                for spelt in _respelt(item):
                    yield head + b"".join([*items[:index], spelt, *items[index + 1 :]])
            spellings = _array_spellings(items)
        case bool() | None:  # Both have one spelling only.
            pass
        case int():
            spellings = _int_spellings(plain)
        case bytes():
            spellings = _bytes_spellings(plain)
        case _:
            assert isinstance(plain, str)
            spellings = _bytes_spellings(plain.encode())
    yield from (spelt for spelt in spellings if spelt != canonical)


@every_golden
def test_every_other_spelling_of_the_same_value_is_refused(golden: Golden) -> None:
    spellings = list(_respelt(plain_of(golden)))
    assert len(spellings) >= len(plain_of(golden))
    for data in spellings:
        assert data != golden.data
        refuse(data, type(golden.value))
