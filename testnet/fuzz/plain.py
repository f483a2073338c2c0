"""Msgpack as a tree, read and written by ourselves, so that edits keep the outer framing whole.

The writer can do what ours never does: spell a number or a length longer than need be, and use types that we refuse.
"""

from __future__ import annotations

import random
from typing import Final

from testnet.fuzz.mutator import INTERESTING, damaged

Tree = int | bytes | str | bool | None | list["Tree"]

DEPTH_MAX = 12
_TEXT: Final = ("", "a", "é", "\x00", "\x1b[2J", "\u202e", "9" * 300, "/ip4/0.0.0.0/tcp/0", "\ud7ff", "A" * 65)
_ODD_SPELLING = 0.02
"""The share of values that are spelled longer than need be in an edited tree."""

_UINT = {1: 0xCC, 2: 0xCD, 4: 0xCE, 8: 0xCF}
_BIN = {1: 0xC4, 2: 0xC5, 4: 0xC6}
_STR = {1: 0xD9, 2: 0xDA, 4: 0xDB}
_ARRAY = {2: 0xDC, 4: 0xDD}
_FIXED_INT_MAX, _FIXED_ARRAY, _FIXED_STR, _NIL, _FALSE, _TRUE = 0x7F, 0x90, 0xA0, 0xC0, 0xC2, 0xC3
_FIXED_ARRAY_MAX, _FIXED_STR_MAX = 15, 31
_FOREIGN = (b"\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00", b"\x80", b"\x81\x01\x02", b"\xd4\x05\x00", b"\xff", b"\xc1")
"""A float, maps, an extension, a negative number, and a byte that is never used."""


class NotPlainError(ValueError):
    """Bytes that are not what this file reads."""


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self.position = 0

    def _take(self, count: int) -> bytes:
        taken = self._data[self.position : self.position + count]
        if len(taken) != count:
            raise NotPlainError("cut short")
        self.position += count
        return taken

    def _number(self, size: int) -> int:
        return int.from_bytes(self._take(size), "big")

    def _list(self, count: int, depth: int) -> list[Tree]:
        if depth > DEPTH_MAX or count > len(self._data):
            raise NotPlainError("too deep or too long")
        return [self.read(depth + 1) for _ in range(count)]

    def read(self, depth: int = 0) -> Tree:
        """Return the next value."""
        head = self._take(1)[0]
        if head <= _FIXED_INT_MAX:
            return head
        if head & 0xF0 == _FIXED_ARRAY:
            return self._list(head & 0x0F, depth)
        if head & 0xE0 == _FIXED_STR:
            return self._take(head & 0x1F).decode("utf-8", "replace")
        if head in (_NIL, _FALSE, _TRUE):
            return {_NIL: None, _FALSE: False, _TRUE: True}[head]
        for codes, read in ((_UINT, int), (_BIN, bytes), (_STR, str), (_ARRAY, list)):
            for size, code in codes.items():
                if code == head:
                    return self._sized(read, self._number(size), depth)
        raise NotPlainError(f"byte {head:#x}")

    def _sized(self, kind: type[object], number: int, depth: int) -> Tree:
        if kind is int:
            return number
        if kind is list:
            return self._list(number, depth)
        taken = self._take(number)
        return taken if kind is bytes else taken.decode("utf-8", "replace")


def read_plain(data: bytes) -> Tree:
    """Return the one value that these bytes are. Raises `NotPlainError`."""
    reader = _Reader(data)
    tree = reader.read()
    if reader.position != len(data):
        raise NotPlainError("something follows")
    return tree


def write_plain(tree: Tree, rng: random.Random | None = None) -> bytes:
    """Return the bytes of a tree; with `rng` a few values are spelled in a way that the codec refuses."""
    parts: list[bytes] = []
    _write(tree, parts, rng)
    return b"".join(parts)


def _write(tree: Tree, parts: list[bytes], rng: random.Random | None) -> None:
    is_odd = rng is not None and rng.random() < _ODD_SPELLING
    if rng is not None and is_odd and rng.random() < 0.3:  # noqa: PLR2004 - the rest is spelled oddly
        parts.append(rng.choice(_FOREIGN))
        return
    if tree is None or isinstance(tree, bool):
        parts.append(bytes([_NIL if tree is None else _TRUE if tree else _FALSE]))
    elif isinstance(tree, int):
        parts.append(_number(tree, is_odd=is_odd))
    elif isinstance(tree, bytes):
        parts.append(_headed(_BIN, len(tree), is_odd=is_odd) + tree)
    elif isinstance(tree, str):
        text = tree.encode("utf-8", "replace")
        is_short = len(text) <= _FIXED_STR_MAX and not is_odd
        parts.append((bytes([_FIXED_STR | len(text)]) if is_short else _headed(_STR, len(text), is_odd=is_odd)) + text)
    else:
        is_short = len(tree) <= _FIXED_ARRAY_MAX and not is_odd
        parts.append(bytes([_FIXED_ARRAY | len(tree)]) if is_short else _headed(_ARRAY, len(tree), is_odd=is_odd))
        for item in tree:
            _write(item, parts, rng)


def _number(number: int, *, is_odd: bool) -> bytes:
    if number <= _FIXED_INT_MAX and not is_odd:
        return bytes([number])
    return _headed(_UINT, number, is_odd=is_odd)


def _headed(codes: dict[int, int], number: int, *, is_odd: bool) -> bytes:
    """Return the shortest head that holds a number, or the longest there is."""
    for size in reversed(codes) if is_odd else codes:
        if not number >> (8 * size):
            return bytes((codes[size],)) + number.to_bytes(size, "big")
    raise OverflowError(number)


def edited(rng: random.Random, tree: Tree, other: Tree) -> Tree:
    """Return the tree with one node changed; the tree itself stays. Parts of `other` may come in."""
    if isinstance(tree, list) and len(tree) > 1 and rng.random() < 0.85:  # noqa: PLR2004 - mostly further down
        # The first item of a list is a tag, mostly: without it nobody looks at the others.
        first = 0 if rng.random() < 0.1 else 1  # noqa: PLR2004 - rarely the tag
        position = rng.randrange(first, len(tree))
        return [*tree[:position], edited(rng, tree[position], other), *tree[position + 1 :]]
    return _changed(rng, tree, other)


def _changed(rng: random.Random, tree: Tree, other: Tree) -> Tree:
    if rng.random() < 0.12:  # noqa: PLR2004 - now and then something of another kind
        others: tuple[Tree, ...] = (None, True, 0, rng.choice(INTERESTING), b"", rng.choice(_TEXT), [], [[]])
        return rng.choice((*others, _part(rng, other)))
    if isinstance(tree, bool) or tree is None:
        return rng.choice((True, False, None))
    if isinstance(tree, int):
        return rng.choice((max(0, tree - 1), min(tree + 1, 2**64 - 1), rng.choice(INTERESTING)))
    if isinstance(tree, bytes):
        return damaged(rng, tree, (b"", bytes(64)))
    if isinstance(tree, str):
        return rng.choice((rng.choice(_TEXT), tree + rng.choice(_TEXT), tree[:-1], tree * 2))
    return _changed_list(rng, tree, other)


def _changed_list(rng: random.Random, tree: list[Tree], other: Tree) -> Tree:
    if not tree:
        return [_part(rng, other)]
    position = rng.randrange(len(tree)) if len(tree) == 1 else rng.randrange(1, len(tree))
    match rng.randrange(6):
        case 0:
            return tree[:position] + tree[position + 1 :] if len(tree) > 1 else [*tree, *tree]
        case 1:
            return [*tree, tree[position]]
        case 2:
            return [*tree[:position], _part(rng, other), *tree[position + 1 :]]
        case 3:
            return [*tree[:position], *([tree[position]] * rng.choice((2, 9, 70, 300))), *tree[position:]]
        case 4:
            return [*tree[:1], *tree[:0:-1]]
        case _:
            return [*tree[:position], [tree[position]], *tree[position + 1 :]]


def _part(rng: random.Random, tree: Tree) -> Tree:
    """Return a node of a tree."""
    while isinstance(tree, list) and tree and rng.random() < 0.8:  # noqa: PLR2004 - mostly not the whole
        tree = rng.choice(tree)
    return tree
