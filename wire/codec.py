"""Canonical, strict msgpack: one value has one byte string, and every other byte string raises `WireError`.

A wire type is a frozen dataclass under `@wire_type(tag)`; each field is annotated with the shape that may cross the
wire (`Annotated[int, UInt(limit)]`, see `wire.shapes`). It is written as an array: the tag, then the fields in order.
Decoding checks type, length and range of every field, the number of fields, and, by writing the plain values again,
that the bytes were the canonical ones.

The caller bounds the size of the input, the shapes bound the length of every array before it is allocated, and
BYTES_PER_ARRAY_MIN bounds the number of arrays. So a hostile message takes at most about twenty times its size in
memory, until the first check refuses it.
"""

from __future__ import annotations

import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeVar

import msgpack

from wire import limits
from wire.errors import WireError
from wire.shapes import OURS, ListOf, Maybe, Plain, Shape


@dataclass(frozen=True, slots=True)
class Nested:
    """Another wire type inside this one."""

    kind: type[object]

    @property
    def kinds(self) -> tuple[type[object], ...]:
        """The one type, as `OneOf` has them."""
        return (self.kind,)

    def pack(self, value: object) -> Plain:
        """Return the inner value as an array with its tag."""
        if type(value) is not self.kind:
            message = f"{OURS}: expected {self.kind.__name__}, got {type(value).__name__}"
            raise WireError(message)
        return to_plain(value)

    def unpack(self, plain: object, where: str) -> object:
        """Return the checked inner value."""
        return from_plain(plain, (self.kind,), where)


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of several other wire types inside this one: its tag tells which."""

    kinds: tuple[type[object], ...]

    def pack(self, value: object) -> Plain:
        """Return the inner value as an array with its tag."""
        if type(value) not in self.kinds:
            expected = ", ".join(each.__name__ for each in self.kinds)
            message = f"{OURS}: expected one of {expected}, got {type(value).__name__}"
            raise WireError(message)
        return to_plain(value)

    def unpack(self, plain: object, where: str) -> object:
        """Return the checked inner value."""
        return from_plain(plain, self.kinds, where)


@dataclass(frozen=True, slots=True)
class _Layout:
    tag: int
    fields: tuple[tuple[str, Shape], ...]
    names: tuple[str, ...]
    """What each field is called in an error: `Type.field`."""

    @property
    def items_max(self) -> int:
        """The length of the longest array in an encoding, the one of tag and fields included."""
        return max(len(self.fields) + 1, *(_items_max(shape) for _, shape in self.fields), 0)


class _Layouts:
    """The layout of every wire type, filled by the decorator while modules load and never changed after."""

    by_type: ClassVar[dict[type[object], _Layout]] = {}
    expected: ClassVar[dict[tuple[type[object], ...], tuple[dict[int, type[object]], int]]] = {}
    """For each choice of types that was asked for, the types by their tags and the length of the longest array."""


def _items_max(shape: Shape) -> int:
    """Return the length of the longest array that a shape allows."""
    if isinstance(shape, ListOf):
        return max(shape.high, _items_max(shape.item))
    if isinstance(shape, Maybe):
        return _items_max(shape.shape)
    if isinstance(shape, Nested | OneOf):
        return _expected(shape.kinds)[1]
    return 0


def _expected(kinds: tuple[type[object], ...]) -> tuple[dict[int, type[object]], int]:
    """Return these types by their tags, and the length of the longest array in an encoding of any."""
    known = _Layouts.expected.get(kinds)
    if known is None:
        layouts = {kind: _Layouts.by_type[kind] for kind in kinds}
        by_tag = {layout.tag: kind for kind, layout in layouts.items()}
        known = _Layouts.expected[kinds] = by_tag, max(layout.items_max for layout in layouts.values())
    return known


T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class _Build(Protocol[T_co]):
    """The constructor of a wire type: every one takes its fields by name."""

    def __call__(self, **fields: object) -> T_co: ...


def wire_type(tag: int) -> Callable[[type[T]], type[T]]:
    """Register a frozen dataclass as a wire type with its tag; two types may not share a tag."""

    def register(kind: type[T]) -> type[T]:
        taken = {layout.tag: other.__name__ for other, layout in _Layouts.by_type.items()}
        assert tag not in taken, f"tag {tag:#x} of {kind.__name__} is taken by {taken[tag]}"
        hints = typing.get_type_hints(kind, include_extras=True)  # In the order of the fields.
        fields = tuple((name, typing.get_args(hint)[1]) for name, hint in hints.items())
        _Layouts.by_type[kind] = _Layout(tag, fields, tuple(f"{kind.__name__}.{name}" for name, _ in fields))
        return kind

    return register


def wire_types() -> tuple[type[object], ...]:
    """Return every wire type that was defined so far, in the order of the tags."""
    return tuple(kind for kind, _ in sorted(_Layouts.by_type.items(), key=lambda item: item[1].tag))


def fields_of(kind: type[object]) -> tuple[tuple[str, Shape], ...]:
    """Return the fields of a wire type with their shapes, in order."""
    return _Layouts.by_type[kind].fields


def tag_of(kind: type[object]) -> int:
    """Return the tag of a wire type."""
    return _Layouts.by_type[kind].tag


def to_plain(value: object) -> list[Plain]:
    """Return a wire value as an array of plain values. Raises `WireError` when a field breaks its own limit."""
    layout = _Layouts.by_type[type(value)]
    plain: list[Plain] = [layout.tag]
    for name, shape in layout.fields:
        try:
            plain.append(shape.pack(getattr(value, name)))
        except WireError as error:
            message = f"{type(value).__name__}.{name}: {error}"
            raise WireError(message) from error
    return plain


def from_plain(plain: object, kinds: tuple[type[T], ...], where: str = "message") -> T:
    """Return the checked wire value, which is one of `kinds`. Raises `WireError`."""
    if type(plain) is not list or not plain or type(plain[0]) is not int:
        message = f"{where}: expected an array that starts with a tag"
        raise WireError(message)
    kind = _expected(kinds)[0].get(plain[0])
    if kind is None:
        expected = ", ".join(each.__name__ for each in kinds)
        message = f"{where}: unknown tag {plain[0]}, expected {expected}"
        raise WireError(message)
    layout = _Layouts.by_type[kind]
    if len(plain) != len(layout.fields) + 1:
        message = f"{where}: {kind.__name__} has {len(layout.fields)} fields, got {len(plain) - 1}"
        raise WireError(message)
    values = {
        name: shape.unpack(item, field)
        for (name, shape), field, item in zip(layout.fields, layout.names, plain[1:], strict=True)
    }
    return typing.cast("_Build[T]", kind)(**values)


def encode(value: object) -> bytes:
    """Return the one byte string of a wire value. Raises `WireError` when a field breaks its own limit."""
    packed = msgpack.packb(to_plain(value), use_bin_type=True)
    assert isinstance(packed, bytes)
    return packed


_SHORT_ARRAY = 64
"""Arrays up to this length are always read, so that what is refused then is named: the tag, the field, the count."""


def _unpack(data: bytes, kinds: tuple[type[object], ...]) -> object:
    """Read msgpack into plain values, within the limits that hold before anything is checked. Raises `WireError`."""
    # An array is allocated when its announced length is read. Nested arrays that announce a million items each would
    # ask for gigabytes, so no array may announce more than the longest one that these types have.
    items_max = max(_SHORT_ARRAY, _expected(kinds)[1])
    try:
        plain: object = msgpack.unpackb(
            data,
            use_list=True,
            raw=False,
            list_hook=_array_counter(limits.ARRAYS_FREE + len(data) // limits.BYTES_PER_ARRAY_MIN),
            max_array_len=items_max,
            max_map_len=0,
            max_ext_len=0,
        )
    except ValueError as error:  # All of msgpack's errors (ExtraData, FormatError, StackError, ..), and bad UTF-8.
        message = f"not msgpack of ours: {error}"
        raise WireError(message) from error
    return plain


def _array_counter(count_max: int) -> Callable[[list[object]], list[object]]:
    """Return what msgpack calls with each array that it has read; it raises `WireError` at one too many."""
    count = 0

    def check(items: list[object]) -> list[object]:
        nonlocal count
        count += 1
        if count > count_max:
            message = f"more than {count_max} arrays in so few bytes"
            raise WireError(message)
        return items

    return check


def decode(data: bytes, *kinds: type[T], bytes_max: int) -> T:
    """Return the wire value, one of `kinds`, that these bytes are the encoding of.

    Raises `WireError` for anything else: too large, unknown tag, missing or extra field, wrong type, length or range,
    trailing bytes, or a spelling that is not the canonical one.
    """
    if len(data) > bytes_max:
        message = f"a message may have {bytes_max} bytes, got {len(data)}"
        raise WireError(message)
    plain = _unpack(data, kinds)
    value = from_plain(plain, kinds)
    if msgpack.packb(plain, use_bin_type=True) != data:  # Each shape has one plain value for each value.
        message = f"{type(value).__name__}: not in canonical form"
        raise WireError(message)
    return value
