"""Merkle trees over BLAKE2b-256: roots, and proofs of one leaf, of a page of leaves, and of some leaves together.

The format is that of the code (`docs/spec/RED_STUFF.md`, section 3). A leaf is H(0x00 || data), an inner node
H(0x01 || left || right). A level with an odd count above 1 gets one *empty* node, 32 zero bytes that are not hashed.
One leaf is its own root; no leaf has the empty node as root.

The root alone does not commit to the number of leaves; whoever verifies must know it from a trusted place.

A *page* is an aligned run of at most `2**height` leaves. One proof for a page is far smaller than a proof for each of
its leaves, and every level below a page's top is padded exactly where the level of the whole tree is.

A *joint proof* is for any leaves of one tree: it has each node once that is beside the way of one of them, unless the
others give it, or it is the empty node.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Self

from crypto.hashing import HASH_BYTES, Buffer

EMPTY_NODE = bytes(HASH_BYTES)

# Copying a started state costs half of what the constructor costs, and a blob of 1000 shards has 3 million nodes.
# The two states are never updated themselves, so threads may share them.
_LEAF = blake2b(b"\x00", digest_size=HASH_BYTES)
_NODE = blake2b(b"\x01", digest_size=HASH_BYTES)


class BadProofError(ValueError):
    """A Merkle proof that does not lead from the data to the root."""


@dataclass(frozen=True, slots=True)
class MerkleProof:
    """The siblings on the way from a leaf, or from the top of a page, to the root; bottom-up. Unchecked.

    In a joint proof they are those that several leaves need together.
    """

    siblings: tuple[bytes, ...]


def leaf_hash(data: Buffer) -> bytes:
    """Return the hash of a leaf."""
    state = _LEAF.copy()
    state.update(data)
    return state.digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node."""
    state = _NODE.copy()
    state.update(left + right)
    return state.digest()


def hash_leaves(leaves: Iterable[Buffer]) -> list[bytes]:
    """Return the hash of each leaf."""
    hashes = []
    for data in leaves:  # Not a call of `leaf_hash`: in the hottest loop of the encoder a call is a fifth of the cost.
        state = _LEAF.copy()
        state.update(data)
        hashes.append(state.digest())
    return hashes


def root_of_hashes(leaf_hashes: Sequence[bytes]) -> bytes:
    """Return the root over leaves that are hashed already."""
    level = list(leaf_hashes)
    while len(level) > 1:
        level = _parents(level)
    return level[0] if level else EMPTY_NODE


def merkle_root(leaves: Iterable[Buffer]) -> bytes:
    """Return the root over the leaves."""
    return root_of_hashes(hash_leaves(leaves))


def page_root_of_hashes(leaf_hashes: Sequence[bytes], *, height: int) -> bytes:
    """Return the node above one page of a tree of more than `2**height` leaves.

    The page has 1 to `2**height` leaves. All pages before it are full, so its levels are odd exactly where those of the
    whole tree are, also when it has shrunk to one node.
    """
    level = list(leaf_hashes)
    for _ in range(height):
        level = _parents(level)
    return level[0]


@dataclass(frozen=True, slots=True)
class MerkleTree:
    """All levels of a tree, leaf hashes first, for making proofs."""

    levels: tuple[tuple[bytes, ...], ...]

    @classmethod
    def from_leaves(cls, leaves: Iterable[Buffer]) -> Self:
        """Build the tree over the leaves."""
        return cls.from_hashes(hash_leaves(leaves))

    @classmethod
    def from_hashes(cls, leaf_hashes: Iterable[bytes]) -> Self:
        """Build the tree over leaves that are hashed already."""
        levels = [tuple(leaf_hashes)]
        while len(levels[-1]) > 1:
            levels.append(tuple(_parents(list(levels[-1]))))
        return cls(tuple(levels))

    @property
    def root(self) -> bytes:
        """The root; the empty node for no leaf."""
        top = self.levels[-1]
        return top[0] if top else EMPTY_NODE

    def prove(self, index: int) -> MerkleProof:
        """Return the proof of one leaf. Raises `IndexError` when there is no such leaf."""
        return self.prove_page(index, height=0)

    def prove_page(self, page_index: int, *, height: int) -> MerkleProof:
        """Return the proof of one page of `2**height` leaves. Raises `IndexError` when there is no such page."""
        count = _page_count(len(self.levels[0]), height=height)
        if not 0 <= page_index < count:
            message = f"page {page_index} of height {height} in a tree of {count} such pages"
            raise IndexError(message)
        siblings = []
        index = page_index
        for level in self.levels[height:-1]:
            sibling = index ^ 1
            siblings.append(level[sibling] if sibling < len(level) else EMPTY_NODE)
            index >>= 1
        return MerkleProof(tuple(siblings))

    def prove_leaves(self, indices: Collection[int]) -> MerkleProof:
        """Return the joint proof of some leaves: level by level, from left to right, what they do not give themselves.

        Empty nodes are not in it. Raises `IndexError` when there is no such leaf, or none is asked for.
        """
        count = len(self.levels[0])
        if not indices or min(indices) < 0 or max(indices) >= count:
            message = f"leaves {sorted(indices)} of a tree of {count}"
            raise IndexError(message)
        siblings = []
        positions = sorted(set(indices))
        for level in self.levels[:-1]:
            known = set(positions)
            beside = [position ^ 1 for position in positions if position ^ 1 not in known]
            siblings += [level[position] for position in beside if position < len(level)]
            positions = sorted({position >> 1 for position in positions})
        return MerkleProof(tuple(siblings))


def verify_proof(root: bytes, leaf_data: Buffer, *, index: int, leaf_count: int, proof: MerkleProof) -> None:
    """Check that `leaf_data` is leaf `index` of the tree of `leaf_count` leaves with this root.

    Raises `BadProofError` when it is not, when there is no such leaf, or when the proof has another length than
    ceil(log2(leaf_count)).
    """
    _verify_path(root, leaf_hash(leaf_data), index=index, count=leaf_count, proof=proof)


def root_of_leaves(leaves: Mapping[int, Buffer], *, leaf_count: int, proof: MerkleProof) -> bytes:
    """Return the root of the tree of `leaf_count` leaves that has these at these indices, by their joint proof.

    The empty nodes are put in here. So a root that is known to be of some tree is that of one with exactly `leaf_count`
    leaves when the last leaf is among them: wherever a level is odd its last node stands beside the empty node, which
    is the hash of nothing. Raises `BadProofError` when there are no leaves, or no such leaf, or when the proof has not
    exactly the siblings that are needed.
    """
    if not leaves or min(leaves) < 0 or max(leaves) >= leaf_count:
        message = f"a joint proof for the indices {sorted(leaves)} of {leaf_count}"
        raise BadProofError(message)
    level = [(index, leaf_hash(leaves[index])) for index in sorted(leaves)]
    siblings = iter(proof.siblings)
    for count in _level_counts(leaf_count):
        parents: list[tuple[int, bytes]] = []
        nodes = iter(level)
        following = next(nodes, None)
        while following is not None:
            position, node = following
            following = next(nodes, None)
            if following is not None and following[0] == position ^ 1:  # The node to the right, which has no turn then.
                other = following[1]
                following = next(nodes, None)
            elif position ^ 1 >= count:
                other = EMPTY_NODE
            else:
                other = next(siblings, b"")
                if len(other) != HASH_BYTES:  # An inner node is the hash of exactly two nodes.
                    message = f"a joint proof of {len(proof.siblings)} siblings that has none beside {position}"
                    raise BadProofError(message)
            state = _NODE.copy()  # As in `hash_leaves`, the call is written out for speed.
            state.update(other + node if position & 1 else node + other)
            parents.append((position >> 1, state.digest()))
        level = parents
    rest = len(tuple(siblings))
    if rest:
        message = f"a joint proof of {len(proof.siblings)} siblings, {len(proof.siblings) - rest} are needed"
        raise BadProofError(message)
    return level[0][1]


def verify_leaves(root: bytes, leaves: Mapping[int, Buffer], *, leaf_count: int, proof: MerkleProof) -> None:
    """Check that the tree of `leaf_count` leaves with this root has these leaves at these indices.

    Raises `BadProofError` when it has not, and as `root_of_leaves` does.
    """
    end = root_of_leaves(leaves, leaf_count=leaf_count, proof=proof)
    if end != root:
        message = (
            f"the joint proof for indices {sorted(leaves)} of {leaf_count} ends at {end.hex()[:12]},"
            f" not at root {root.hex()[:12]}"
        )
        raise BadProofError(message)


def verify_page(
    root: bytes, leaf_data: Sequence[Buffer], *, page_index: int, height: int, leaf_count: int, proof: MerkleProof
) -> None:
    """Check that `leaf_data` are all the leaves of page `page_index` in the tree of `leaf_count` leaves.

    Raises `BadProofError` when they are not, when there is no such page, or when a length is wrong.
    """
    expected = min(1 << height, leaf_count - (page_index << height))
    if expected < 1 or len(leaf_data) != expected:
        message = f"page {page_index} of height {height} in {leaf_count} leaves cannot have {len(leaf_data)} leaves"
        raise BadProofError(message)
    hashes = hash_leaves(leaf_data)
    is_whole_tree = leaf_count <= 1 << height
    node = root_of_hashes(hashes) if is_whole_tree else page_root_of_hashes(hashes, height=height)
    _verify_path(root, node, index=page_index, count=_page_count(leaf_count, height=height), proof=proof)


def _page_count(leaf_count: int, *, height: int) -> int:
    return -(-leaf_count >> height)


def _level_counts(leaf_count: int) -> Iterator[int]:
    """Yield how many nodes each level has below the root, without padding."""
    while leaf_count > 1:
        yield leaf_count
        leaf_count = -(-leaf_count // 2)


def _parents(level: list[bytes]) -> list[bytes]:
    """Return the next level up, after padding an odd one."""
    if len(level) % 2:
        level = [*level, EMPTY_NODE]
    nodes = iter(level)
    parents = []
    for left in nodes:  # As in `hash_leaves`, the loop is written out for speed.
        state = _NODE.copy()
        state.update(left)
        state.update(next(nodes))
        parents.append(state.digest())
    return parents


def _verify_path(root: bytes, node: bytes, *, index: int, count: int, proof: MerkleProof) -> None:
    """Check that a path ends at the root. Raises `BadProofError`."""
    end = _fold(node, index=index, count=count, proof=proof)
    if end != root:
        message = f"the proof for index {index} of {count} ends at {end.hex()[:12]}, not at root {root.hex()[:12]}"
        raise BadProofError(message)


def _fold(node: bytes, *, index: int, count: int, proof: MerkleProof) -> bytes:
    """Fold the siblings over the node, bottom-up; an even index means that the node is the left one."""
    if not 0 <= index < count:
        message = f"a proof for index {index} of {count}"
        raise BadProofError(message)
    height = (count - 1).bit_length()
    if len(proof.siblings) != height:
        message = f"a proof of {len(proof.siblings)} siblings for {count} nodes, exactly {height} are needed"
        raise BadProofError(message)
    position = index
    for sibling in proof.siblings:
        if len(sibling) != HASH_BYTES:  # An inner node is the hash of exactly two nodes.
            message = f"a sibling of {len(sibling)} bytes in a proof, not {HASH_BYTES}"
            raise BadProofError(message)
        state = _NODE.copy()  # As in `hash_leaves`, the loop is written out for speed.
        state.update(sibling + node if position % 2 else node + sibling)
        node = state.digest()
        position >>= 1
    return node
