"""Merkle roots by definition, proofs of leaves and of pages, and everything that must not pass for a proof."""

from dataclasses import replace
from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.merkle import (
    EMPTY_NODE,
    BadProofError,
    MerkleProof,
    MerkleTree,
    hash_leaves,
    leaf_hash,
    merkle_root,
    node_hash,
    page_root_of_hashes,
    root_of_hashes,
    root_of_leaves,
    verify_leaves,
    verify_page,
    verify_proof,
)

COUNTS = range(71)
HEIGHTS = (2, 3)


def leaves_of(count: int) -> list[bytes]:
    return [b"leaf %d" % index for index in range(count)]


def hashed(data: bytes) -> bytes:
    return blake2b(data, digest_size=32).digest()


def root_by_definition(level: list[bytes]) -> bytes:
    """Fold hashes as the spec says it, with nothing of the module under test."""
    if not level:
        return bytes(32)
    if len(level) == 1:
        return level[0]
    padded = level + [bytes(32)] * (len(level) % 2)
    return root_by_definition([hashed(b"\x01" + padded[i] + padded[i + 1]) for i in range(0, len(padded), 2)])


def pages_of(count: int, height: int) -> list[list[bytes]]:
    leaves = leaves_of(count)
    return [leaves[start : start + 2**height] for start in range(0, count, 2**height)]


def test_leaves_and_nodes_are_hashed_in_their_own_domains() -> None:
    assert leaf_hash(b"data") == hashed(b"\x00data")
    assert node_hash(b"l" * 32, b"r" * 32) == hashed(b"\x01" + b"l" * 32 + b"r" * 32)
    assert hash_leaves([b"a", memoryview(b"b"), bytearray(b"c")]) == [
        hashed(b"\x00a"),
        hashed(b"\x00b"),
        hashed(b"\x00c"),
    ]


def test_no_leaf_and_one_leaf() -> None:
    assert merkle_root([]) == EMPTY_NODE == bytes(32)
    assert MerkleTree.from_leaves([]).root == EMPTY_NODE
    assert merkle_root([b"x"]) == leaf_hash(b"x")


def test_an_odd_level_gets_an_empty_node_that_is_not_hashed() -> None:
    a, b, c = hash_leaves([b"a", b"b", b"c"])
    assert merkle_root([b"a", b"b", b"c"]) == node_hash(node_hash(a, b), node_hash(c, bytes(32)))


@pytest.mark.parametrize("count", COUNTS)
def test_every_root_is_the_one_by_definition(count: int) -> None:
    leaves = leaves_of(count)
    expected = root_by_definition([hashed(b"\x00" + leaf) for leaf in leaves])
    assert merkle_root(leaves) == expected
    assert root_of_hashes(hash_leaves(leaves)) == expected
    assert MerkleTree.from_leaves(leaves).root == expected
    assert MerkleTree.from_hashes(hash_leaves(leaves)).root == expected


@pytest.mark.parametrize("count", [count for count in COUNTS if count])
def test_every_leaf_has_a_proof_that_fits_only_it(count: int) -> None:
    leaves = leaves_of(count)
    tree = MerkleTree.from_leaves(leaves)
    for index, leaf in enumerate(leaves):
        proof = tree.prove(index)
        verify_proof(tree.root, leaf, index=index, leaf_count=count, proof=proof)
        with pytest.raises(BadProofError):
            verify_proof(tree.root, leaf + b"!", index=index, leaf_count=count, proof=proof)
        with pytest.raises(BadProofError):
            verify_proof(tree.root, leaf, index=index ^ 1, leaf_count=count, proof=proof)


@pytest.mark.parametrize("index", [-1, 5, 6, 8, 2**70])
def test_an_index_outside_the_tree_has_no_proof(index: int) -> None:
    tree = MerkleTree.from_leaves(leaves_of(5))
    with pytest.raises(IndexError):
        tree.prove(index)
    with pytest.raises(BadProofError, match="of 5"):
        verify_proof(tree.root, b"leaf 0", index=index, leaf_count=5, proof=tree.prove(0))


def test_padding_cannot_be_claimed_as_a_leaf() -> None:
    tree = MerkleTree.from_leaves(leaves_of(5))
    for index, leaf in ((5, b""), (5, EMPTY_NODE), (7, b"")):
        with pytest.raises(BadProofError):
            verify_proof(tree.root, leaf, index=index, leaf_count=5, proof=tree.prove(4))


def test_an_empty_tree_has_no_proof() -> None:
    with pytest.raises(IndexError):
        MerkleTree.from_leaves([]).prove(0)
    for leaf_count in (0, -1):
        with pytest.raises(BadProofError):
            verify_proof(EMPTY_NODE, b"", index=0, leaf_count=leaf_count, proof=MerkleProof(()))


def test_a_proof_has_exactly_the_length_of_the_tree() -> None:
    tree = MerkleTree.from_leaves(leaves_of(9))
    siblings = tree.prove(8).siblings
    assert len(siblings) == 4
    for wrong in (siblings[:-1], (*siblings, EMPTY_NODE), ()):
        with pytest.raises(BadProofError, match="exactly 4"):
            verify_proof(tree.root, b"leaf 8", index=8, leaf_count=9, proof=MerkleProof(wrong))


def test_an_inner_node_is_not_a_leaf() -> None:
    """A shorter tree whose leaves are the inner nodes must have another root."""
    hashes = hash_leaves(leaves_of(4))
    tree = MerkleTree.from_hashes(hashes)
    with pytest.raises(BadProofError):
        verify_proof(tree.root, hashes[0] + hashes[1], index=0, leaf_count=2, proof=MerkleProof((tree.levels[1][1],)))


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_a_sibling_of_another_length_is_refused(length: int) -> None:
    tree = MerkleTree.from_leaves(leaves_of(4))
    siblings = (bytes(length), *tree.prove(0).siblings[1:])
    with pytest.raises(BadProofError, match=f"{length} bytes"):
        verify_proof(tree.root, b"leaf 0", index=0, leaf_count=4, proof=MerkleProof(siblings))


@pytest.mark.parametrize("height", HEIGHTS)
@pytest.mark.parametrize("count", [count for count in COUNTS if count])
def test_every_page_has_a_proof(count: int, height: int) -> None:
    tree = MerkleTree.from_leaves(leaves_of(count))
    pages = pages_of(count, height)
    for page_index, page in enumerate(pages):
        proof = tree.prove_page(page_index, height=height)
        verify_page(tree.root, page, page_index=page_index, height=height, leaf_count=count, proof=proof)
        assert len(proof.siblings) == (len(pages) - 1).bit_length()


@pytest.mark.parametrize("height", HEIGHTS)
@pytest.mark.parametrize("count", [count for count in COUNTS if count])
def test_the_top_of_a_page_is_a_node_of_the_whole_tree(count: int, height: int) -> None:
    tree = MerkleTree.from_leaves(leaves_of(count))
    if count > 2**height:
        tops = [page_root_of_hashes(hash_leaves(page), height=height) for page in pages_of(count, height)]
        assert tuple(tops) == tree.levels[height]
        assert root_of_hashes(tops) == tree.root


@pytest.mark.parametrize("count", [1, 3, 4])
def test_a_tree_of_one_page_is_its_own_page(count: int) -> None:
    tree = MerkleTree.from_leaves(leaves_of(count))
    for height in (2, 3, 20):
        assert tree.prove_page(0, height=height) == MerkleProof(())
        verify_page(tree.root, leaves_of(count), page_index=0, height=height, leaf_count=count, proof=MerkleProof(()))
        with pytest.raises(IndexError):
            tree.prove_page(1, height=height)


@pytest.mark.parametrize("height", HEIGHTS)
@pytest.mark.parametrize("count", [5, 8, 9, 13, 17, 33, 70])
def test_a_wrong_page_never_passes(count: int, height: int) -> None:
    tree = MerkleTree.from_leaves(leaves_of(count))
    pages = pages_of(count, height)
    for page_index, page in enumerate(pages):
        proof = tree.prove_page(page_index, height=height)
        bad_pages = [page[:-1], [*page, b""], [*page[:-1], b"other"], [], *([page[::-1]] if len(page) > 1 else [])]
        for bad in bad_pages:
            with pytest.raises(BadProofError):
                verify_page(tree.root, bad, page_index=page_index, height=height, leaf_count=count, proof=proof)
        for wrong in {-1, len(pages), *range(len(pages))} - {page_index}:
            with pytest.raises(BadProofError):
                verify_page(tree.root, page, page_index=wrong, height=height, leaf_count=count, proof=proof)
        longer = replace(proof, siblings=(*proof.siblings, EMPTY_NODE))
        with pytest.raises(BadProofError):
            verify_page(tree.root, page, page_index=page_index, height=height, leaf_count=count, proof=longer)


@pytest.mark.parametrize("count", [4, 8, 16])
def test_the_last_index_has_no_second_name(count: int) -> None:
    """Shifted to the right, -1 stays odd: folded without a check it would pass for the last leaf, and the last page."""
    leaves = leaves_of(count)
    tree = MerkleTree.from_leaves(leaves)
    with pytest.raises(BadProofError, match="index -1"):
        verify_proof(tree.root, leaves[-1], index=-1, leaf_count=count, proof=tree.prove(count - 1))
    last_page = tree.prove_page(count // 4 - 1, height=2)
    with pytest.raises(BadProofError, match="index -1"):
        verify_page(tree.root, leaves[-4:], page_index=-1, height=2, leaf_count=count, proof=last_page)


@pytest.mark.parametrize("page_index", [2, 3])
def test_there_is_no_empty_page_after_the_last_one(page_index: int) -> None:
    tree = MerkleTree.from_leaves(leaves_of(8))
    with pytest.raises(BadProofError):
        verify_page(tree.root, [], page_index=page_index, height=2, leaf_count=8, proof=tree.prove_page(1, height=2))


def test_an_empty_tree_has_no_page() -> None:
    with pytest.raises(IndexError):
        MerkleTree.from_leaves([]).prove_page(0, height=2)
    with pytest.raises(BadProofError):
        verify_page(EMPTY_NODE, [], page_index=0, height=2, leaf_count=0, proof=MerkleProof(()))


@given(
    st.binary(max_size=8),
    st.integers(-3, 20),
    st.integers(-3, 20),
    st.lists(st.binary(min_size=30, max_size=34), max_size=5),
)
def test_made_up_proofs_raise_bad_proof_error_only(
    data: bytes, index: int, leaf_count: int, siblings: list[bytes]
) -> None:
    proof = MerkleProof(tuple(siblings))
    with pytest.raises(BadProofError):
        verify_proof(b"r" * 32, data, index=index, leaf_count=leaf_count, proof=proof)
    with pytest.raises(BadProofError):
        verify_page(b"r" * 32, [data] * 4, page_index=index, height=2, leaf_count=leaf_count, proof=proof)


@pytest.mark.parametrize("count", range(1, 34))
def test_the_last_leaf_tells_how_many_there_are(count: int) -> None:
    leaves = [bytes([number]) for number in range(count)]
    tree = MerkleTree.from_leaves(leaves)
    proof = tree.prove_leaves([count - 1])
    assert root_of_leaves({count - 1: leaves[-1]}, leaf_count=count, proof=proof) == tree.root
    for claimed in set(range(1, 66)) - {count}:
        for index in {count - 1, min(claimed, count) - 1, max(0, count - 2)}:
            for siblings in (tree.prove_leaves([index]).siblings, tree.prove(index).siblings):
                try:
                    root = root_of_leaves({claimed - 1: leaves[index]}, leaf_count=claimed, proof=MerkleProof(siblings))
                except BadProofError:
                    continue
                assert root != tree.root


# ----------------------------------------------------------------------------------------------- joint proofs


def joint_siblings_by_definition(count: int, indices: set[int]) -> list[bytes]:
    """Return what a joint proof has, out of the proofs of its leaves."""
    tree = MerkleTree.from_leaves(leaves_of(count))
    found: list[bytes] = []
    for level, nodes in enumerate(tree.levels[:-1]):
        given = {index >> level for index in indices}
        for position in sorted({position ^ 1 for position in given} - given):
            below = min(index for index in indices if index >> level == position ^ 1)
            sibling = tree.prove(below).siblings[level]
            assert (sibling == EMPTY_NODE) == (position == len(nodes))
            found += [sibling] if position < len(nodes) else []
    return found


@st.composite
def some_leaves(draw: st.DrawFn) -> tuple[int, set[int]]:
    """Draw how many leaves a tree has, and some of their indices."""
    count = draw(st.integers(1, 130))
    return count, draw(st.sets(st.integers(0, count - 1), min_size=1, max_size=6))


@given(some_leaves())
def test_a_joint_proof_has_what_the_proofs_of_its_leaves_have_once_and_no_empty_nodes(
    chosen: tuple[int, set[int]],
) -> None:
    count, indices = chosen
    leaves = leaves_of(count)
    tree = MerkleTree.from_leaves(leaves)
    proof = tree.prove_leaves(indices)
    assert list(proof.siblings) == joint_siblings_by_definition(count, indices)
    shown = {index: leaves[index] for index in indices}
    assert root_of_leaves(shown, leaf_count=count, proof=proof) == tree.root
    verify_leaves(tree.root, dict(reversed(shown.items())), leaf_count=count, proof=proof)
    for index in indices:
        verify_proof(tree.root, leaves[index], index=index, leaf_count=count, proof=tree.prove(index))


@given(some_leaves(), st.data())
def test_a_joint_proof_that_was_changed_anywhere_is_refused(chosen: tuple[int, set[int]], data: st.DataObject) -> None:
    count, indices = chosen
    leaves = leaves_of(count)
    tree = MerkleTree.from_leaves(leaves)
    shown = {index: leaves[index] for index in indices}
    siblings = list(tree.prove_leaves(indices).siblings)

    def refused(changed: list[bytes], about: dict[int, bytes] = shown, leaf_count: int = count) -> None:
        with pytest.raises(BadProofError):
            verify_leaves(tree.root, about, leaf_count=leaf_count, proof=MerkleProof(tuple(changed)))

    refused([*siblings, EMPTY_NODE])
    refused([EMPTY_NODE, *siblings])
    index = data.draw(st.sampled_from(sorted(indices)))
    refused(siblings, shown | {index: b"other"})
    elsewhere = data.draw(st.integers(-2, count + 2).filter(lambda other: other not in indices))
    refused(siblings, {(elsewhere if each == index else each): leaf for each, leaf in shown.items()})
    if siblings:
        place = data.draw(st.integers(0, len(siblings) - 1))
        refused(siblings[:place] + siblings[place + 1 :])
        refused([*siblings[:place], siblings[place], *siblings[place:]])
        refused([*siblings[:place], EMPTY_NODE, *siblings[place + 1 :]])
        refused([*siblings[:place], siblings[place][:-1], *siblings[place + 1 :]])
        other = data.draw(st.integers(0, len(siblings) - 1))
        siblings[place], siblings[other] = siblings[other], siblings[place]
        if place != other:
            refused(siblings)


def test_two_leaves_side_by_side_need_no_sibling_of_each_other() -> None:
    a, b, c, d, e = hash_leaves(leaves_of(5))
    tree = MerkleTree.from_leaves(leaves_of(5))
    right = node_hash(node_hash(e, EMPTY_NODE), EMPTY_NODE)
    assert tree.prove_leaves([1, 0]).siblings == (node_hash(c, d), right)
    assert tree.prove_leaves([4]).siblings == (node_hash(node_hash(a, b), node_hash(c, d)),)
    assert tree.prove_leaves([0, 4]).siblings == (b, node_hash(c, d))
    assert tree.prove_leaves(range(5)).siblings == ()


@pytest.mark.parametrize("indices", [[], [-1], [5], [0, 5], [2**70]])
def test_what_is_not_in_the_tree_has_no_joint_proof(indices: list[int]) -> None:
    tree = MerkleTree.from_leaves(leaves_of(5))
    with pytest.raises(IndexError, match="of a tree of 5"):
        tree.prove_leaves(indices)
    with pytest.raises(BadProofError, match="of 5"):
        root_of_leaves(dict.fromkeys(indices, b"x"), leaf_count=5, proof=MerkleProof(()))


@pytest.mark.parametrize("leaf_count", [0, -1])
def test_an_empty_tree_has_no_joint_proof(leaf_count: int) -> None:
    with pytest.raises(IndexError):
        MerkleTree.from_leaves([]).prove_leaves([0])
    with pytest.raises(BadProofError):
        verify_leaves(EMPTY_NODE, {0: b""}, leaf_count=leaf_count, proof=MerkleProof(()))


@given(
    st.dictionaries(st.integers(-3, 20), st.binary(max_size=8), max_size=4),
    st.integers(-3, 20),
    st.lists(st.binary(min_size=30, max_size=34), max_size=5),
)
def test_made_up_joint_proofs_raise_bad_proof_error_only(
    leaves: dict[int, bytes], leaf_count: int, siblings: list[bytes]
) -> None:
    with pytest.raises(BadProofError):
        verify_leaves(b"r" * 32, leaves, leaf_count=leaf_count, proof=MerkleProof(tuple(siblings)))
