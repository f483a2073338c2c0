"""Claims about manifests: they fit a blob, nest to a bounded depth, and contradict nothing that is above them."""

from __future__ import annotations

import dataclasses

import pytest

from p2pnode.coding import blob_bytes_max
from p2pnode.errors import CallerError, IntegrityError
from p2pnode.protocols.manifest import (
    MAGIC,
    FileShape,
    ManifestEntry,
    check_child,
    entries_max,
    make_level,
    manifest_from_bytes,
    manifest_to_bytes,
    segment_bytes,
)
from tests.factories import blob_id, digest
from wire import limits
from wire.ids import FileSalt

SHAPE = FileShape(n=4, salt=FileSalt(bytes(32)), content=digest())


def entries(count: int) -> list[ManifestEntry]:
    """Return entries for distinct full segments."""
    return [ManifestEntry(blob_id=blob_id(i % 50), file_bytes=segment_bytes(4)) for i in range(count)]


@pytest.mark.parametrize("n", [4, 10, 100])
def test_a_segment_is_a_blob_and_a_full_manifest_is_one_too(n: int) -> None:
    assert segment_bytes(n) == min(blob_bytes_max(n), limits.BLOB_BYTES_MAX)
    shape = dataclasses.replace(SHAPE, n=n)
    part = ManifestEntry(blob_id=blob_id(), file_bytes=limits.BLOB_BYTES_MAX)
    full = make_level(shape, 0, [part] * entries_max(n))
    assert len(full) == 1
    assert len(manifest_to_bytes(full[0])) <= segment_bytes(n)


def test_a_manifest_survives_the_round_trip() -> None:
    manifest = make_level(SHAPE, 0, entries(3))[0]
    assert manifest_from_bytes(manifest_to_bytes(manifest), blob_id()) == manifest
    assert manifest.file_bytes == 3 * segment_bytes(4)


def test_one_entry_too_many_makes_two_manifests_and_a_third_above_them() -> None:
    level0 = make_level(SHAPE, 0, entries(entries_max(4) + 1))
    assert [len(each.entries) for each in level0] == [entries_max(4), 1]
    parts = [ManifestEntry(blob_id=blob_id(i), file_bytes=each.file_bytes) for i, each in enumerate(level0)]
    (root,) = make_level(SHAPE, 1, parts)
    assert root.file_bytes == (entries_max(4) + 1) * segment_bytes(4)
    for part, child in zip(parts, level0, strict=True):
        check_child(root, part, child)


def test_manifests_nest_no_deeper_than_the_limit() -> None:
    make_level(SHAPE, limits.MANIFEST_DEPTH_MAX - 1, entries(1))
    with pytest.raises(CallerError, match="more shards"):
        make_level(SHAPE, limits.MANIFEST_DEPTH_MAX, entries(1))


def test_anything_but_a_manifest_is_an_integrity_error_that_says_so() -> None:
    manifest = make_level(SHAPE, 0, entries(2))[0]
    data = manifest_to_bytes(manifest)
    with pytest.raises(IntegrityError, match="is no manifest"):
        manifest_from_bytes(b"hello", blob_id())
    for damaged in (data[:-1], data + b"\0", MAGIC):
        with pytest.raises(IntegrityError, match="damaged"):
            manifest_from_bytes(damaged, blob_id())
    lying = dataclasses.replace(manifest, file_bytes=5)
    with pytest.raises(IntegrityError, match="contradicts itself"):
        manifest_from_bytes(manifest_to_bytes(lying), blob_id())


def test_a_child_that_is_not_what_its_parent_says_is_refused() -> None:
    child = make_level(SHAPE, 0, entries(2))[0]
    part = ManifestEntry(blob_id=blob_id(), file_bytes=child.file_bytes)
    parent = make_level(SHAPE, 1, [part])[0]
    check_child(parent, part, child)
    for wrong in (
        dataclasses.replace(child, level=1),
        dataclasses.replace(child, n=7),
        dataclasses.replace(child, salt=FileSalt(b"\1" * 32)),
        dataclasses.replace(child, content=digest(2)),
        dataclasses.replace(child, file_bytes=1),
    ):
        with pytest.raises(IntegrityError, match="does not fit its parent"):
            check_child(parent, part, wrong)
