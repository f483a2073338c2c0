"""The shapes that fields of wire types have: how a value crosses the wire, and what is refused there.

A shape is a value; `wire.codec` packs and unpacks whole types with them. Shapes that hold other wire types are there.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Protocol

from wire.errors import WireError
from wire.ids import FixedBytes

Plain = int | bytes | str | bool | None | list["Plain"]
"""What msgpack may carry here: no maps, no floats, no extension types, no negative numbers."""


OURS = "our own value"
"""Where a wrong value was found when it is one that we were about to send."""


class Shape(Protocol):
    """How one field looks on the wire. A limit holds on both sides: we do not send what others would refuse."""

    def pack(self, value: object) -> Plain:
        """Return the plain value. Raises `WireError` when the value breaks the shape's own limit."""
        ...

    def unpack(self, plain: object, where: str) -> object:
        """Return the checked value. Raises `WireError` that names `where`."""
        ...


@dataclass(frozen=True, slots=True)
class UInt:
    """A whole number from `low` to `high`, both included."""

    high: int
    low: int = 0

    def pack(self, value: object) -> Plain:
        """Return the number itself, of an enumeration the value."""
        return self.unpack(int(value) if isinstance(value, enum.IntEnum) else value, OURS)

    def unpack(self, plain: object, where: str) -> int:
        """Return the number."""
        if type(plain) is not int:
            message = f"{where}: expected a whole number, got {type(plain).__name__}"
            raise WireError(message)
        if not self.low <= plain <= self.high:
            message = f"{where}: expected {self.low} to {self.high}, got {plain}"
            raise WireError(message)
        return plain


@dataclass(frozen=True, slots=True)
class Bool:
    """True or false."""

    def pack(self, value: object) -> Plain:
        """Return the boolean."""
        return self.unpack(value, OURS)

    def unpack(self, plain: object, where: str) -> bool:
        """Return the boolean."""
        if type(plain) is not bool:
            message = f"{where}: expected true or false, got {type(plain).__name__}"
            raise WireError(message)
        return plain


@dataclass(frozen=True, slots=True)
class Fixed:
    """Bytes of exactly the length of an id type."""

    kind: type[FixedBytes]

    def pack(self, value: object) -> Plain:
        """Return the bytes."""
        if isinstance(value, bytes) and len(value) == self.kind.length:
            return bytes(value)
        return self.unpack(value, OURS)

    def unpack(self, plain: object, where: str) -> FixedBytes:
        """Return the id."""
        if type(plain) is not bytes or len(plain) != self.kind.length:
            got = f"{len(plain)} bytes" if isinstance(plain, bytes) else type(plain).__name__
            message = f"{where}: expected {self.kind.length} bytes, got {got}"
            raise WireError(message)
        return bytes.__new__(self.kind, plain)  # Its own check of the length would be the second one.


@dataclass(frozen=True, slots=True)
class Packed:
    """Up to `high` ids of one type, one behind the other in one byte string, held as a tuple."""

    kind: type[FixedBytes]
    high: int

    def pack(self, value: object) -> Plain:
        """Return the bytes of all."""
        if not isinstance(value, tuple):  # A list could change after it was checked or signed.
            message = f"{OURS}: expected a tuple, got {type(value).__name__}"
            raise WireError(message)
        if any(not isinstance(item, bytes) or len(item) != self.kind.length for item in value):
            message = f"{OURS}: expected {self.kind.__name__}s of {self.kind.length} bytes"
            raise WireError(message)
        return self._checked(b"".join(value), OURS)

    def unpack(self, plain: object, where: str) -> tuple[FixedBytes, ...]:
        """Return the ids."""
        if type(plain) is not bytes:
            message = f"{where}: expected bytes, got {type(plain).__name__}"
            raise WireError(message)
        self._checked(plain, where)
        new, kind, length = bytes.__new__, self.kind, self.kind.length
        return tuple([new(kind, plain[start : start + length]) for start in range(0, len(plain), length)])

    def _checked(self, joined: bytes, where: str) -> bytes:
        count, rest = divmod(len(joined), self.kind.length)
        if rest or count > self.high:
            message = f"{where}: expected up to {self.high} times {self.kind.length} bytes, got {len(joined)}"
            raise WireError(message)
        return joined


@dataclass(frozen=True, slots=True)
class Raw:
    """Bytes of a length from `low` to `high`."""

    high: int
    low: int = 0

    def pack(self, value: object) -> Plain:
        """Return the bytes."""
        return self.unpack(bytes(value) if isinstance(value, bytes) else value, OURS)

    def unpack(self, plain: object, where: str) -> bytes:
        """Return the bytes."""
        if type(plain) is not bytes:
            message = f"{where}: expected bytes, got {type(plain).__name__}"
            raise WireError(message)
        if not self.low <= len(plain) <= self.high:
            message = f"{where}: expected {self.low} to {self.high} bytes, got {len(plain)}"
            raise WireError(message)
        return plain


@dataclass(frozen=True, slots=True)
class Text:
    """Printable text of at most `high` characters: it may end in a log or a terminal, so no control characters."""

    high: int
    low: int = 0

    def pack(self, value: object) -> Plain:
        """Return the text."""
        return self.unpack(value, OURS)

    def unpack(self, plain: object, where: str) -> str:
        """Return the text."""
        if type(plain) is not str:
            message = f"{where}: expected text, got {type(plain).__name__}"
            raise WireError(message)
        if not self.low <= len(plain) <= self.high:
            message = f"{where}: expected {self.low} to {self.high} characters, got {len(plain)}"
            raise WireError(message)
        if not plain.isprintable():
            message = f"{where}: the text has unprintable characters"
            raise WireError(message)
        return plain


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list of `low` to `high` items of one shape, held as a tuple."""

    item: Shape
    high: int
    low: int = 0

    def pack(self, value: object) -> Plain:
        """Return the list of plain items."""
        if not isinstance(value, tuple):  # A list could change after it was checked or signed.
            message = f"{OURS}: expected a tuple, got {type(value).__name__}"
            raise WireError(message)
        self._check(len(value), OURS)
        return [self.item.pack(item) for item in value]

    def unpack(self, plain: object, where: str) -> tuple[object, ...]:
        """Return the checked items."""
        if type(plain) is not list:
            message = f"{where}: expected a list, got {type(plain).__name__}"
            raise WireError(message)
        self._check(len(plain), where)
        unpack = self.item.unpack
        try:
            return tuple([unpack(item, where) for item in plain])
        except WireError:  # Only who is refused needs to hear at which index.
            return tuple([unpack(item, f"{where}[{index}]") for index, item in enumerate(plain)])

    def _check(self, count: int, where: str) -> None:
        if not self.low <= count <= self.high:
            message = f"{where}: expected {self.low} to {self.high} items, got {count}"
            raise WireError(message)


@dataclass(frozen=True, slots=True)
class Maybe:
    """A value that may be absent (`None`, nil on the wire)."""

    shape: Shape

    def pack(self, value: object) -> Plain:
        """Return the plain value or None."""
        return None if value is None else self.shape.pack(value)

    def unpack(self, plain: object, where: str) -> object:
        """Return the checked value or None."""
        return None if plain is None else self.shape.unpack(plain, where)
