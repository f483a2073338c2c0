"""References: one text for each kind and id, and a message that says what was expected."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import factories
from wire.errors import WireError
from wire.ids import BlobId
from wire.references import Reference, ReferenceKind

ID = factories.blob_id()


def test_a_blob_is_named_by_its_id_alone() -> None:
    assert Reference(ReferenceKind.BLOB, ID).text() == ID.text()


def test_a_file_is_named_by_its_root_manifest_with_a_prefix() -> None:
    assert Reference(ReferenceKind.FILE, ID).text() == f"file:{ID.text()}"


@given(st.sampled_from(ReferenceKind), st.binary(min_size=32, max_size=32))
def test_the_text_of_a_reference_leads_back_to_it(kind: ReferenceKind, raw: bytes) -> None:
    reference = Reference(kind, BlobId(raw))
    assert Reference.parse(reference.text()) == reference


WRONG = {
    "empty": "",
    "prefix alone": "file:",
    "prefix twice": f"file:file:{ID.text()}",
    "prefix in capitals": f"FILE:{ID.text()}",
    "unknown prefix": f"blob:{ID.text()}",
    "space in front": f" {ID.text()}",
    "line break at the end": f"{ID.text()}\n",
    "space after the prefix": f"file: {ID.text()}",
    "id too short": ID.text()[:-1],
    "not ASCII": "file:" + "ä" * 43,
}


@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG)
def test_anything_else_is_refused_with_what_was_expected(text: str) -> None:
    with pytest.raises(WireError, match="is no reference: expected '<id>' or 'file:<id>' as printed by put"):
        Reference.parse(text)


@given(st.text(max_size=60))
def test_any_text_is_a_reference_in_its_one_spelling_or_a_wire_error(text: str) -> None:
    try:
        reference = Reference.parse(text)
    except WireError:
        return
    assert reference.text() == text
