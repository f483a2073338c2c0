"""Ids: exact lengths, one spelling each, and kinds that a reader can tell apart."""

from __future__ import annotations

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.peer_id import peer_id_to_text
from wire.errors import WireError
from wire.ids import BlobId, Digest, FileSalt, FixedBytes, LeaseTarget, PeerId, PublicKey, Signature

LENGTHS: dict[type[FixedBytes], int] = {
    BlobId: 32,
    Digest: 32,
    LeaseTarget: 32,
    FileSalt: 32,
    PublicKey: 32,
    PeerId: 38,
    Signature: 64,
}
TEXT = "q" * 42 + "s"
"""The blob id of 32 bytes aa aa .. ab has some such text; `s` ends in the two spare bits 00."""


@pytest.mark.parametrize(("kind", "length"), LENGTHS.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_an_id_has_exactly_its_length(kind: type[FixedBytes], length: int) -> None:
    made = kind(b"\xab" * length)
    assert made == b"\xab" * length
    assert type(made) is kind
    for wrong in (0, length - 1, length + 1):
        with pytest.raises(WireError, match=f"a {kind.__name__} has {length} bytes, got {wrong}"):
            kind(bytes(wrong))


@pytest.mark.parametrize(("kind", "length"), LENGTHS.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_an_id_shows_its_kind_and_start(kind: type[FixedBytes], length: int) -> None:
    made = kind(bytes(range(length)))
    assert repr(made) == f"{kind.__name__}(000102030405..)"
    if kind is BlobId:
        assert str(made) == BlobId(made).text()
    elif kind is PeerId:
        assert str(made) == peer_id_to_text(made)
    else:
        assert str(made) == repr(made)


def test_an_id_survives_copying_and_pickling_as_what_it_is() -> None:
    blob_id = BlobId(bytes(range(32)))
    for again in (copy.deepcopy(blob_id), pickle.loads(pickle.dumps(blob_id))):  # noqa: S301 - our own bytes
        assert again == blob_id
        assert type(again) is BlobId


@given(st.binary(min_size=32, max_size=32))
def test_the_text_of_a_blob_id_leads_back_to_it(raw: bytes) -> None:
    blob_id = BlobId(raw)
    text = blob_id.text()
    assert len(text) == 43
    assert str(blob_id) == text
    assert BlobId.parse(text) == blob_id


@given(st.text(max_size=50) | st.text("ABCxyz012-_=+/ ", min_size=43, max_size=43))
def test_any_text_is_a_blob_id_in_its_one_spelling_or_a_wire_error(text: str) -> None:
    try:
        blob_id = BlobId.parse(text)
    except WireError:
        return
    assert blob_id.text() == text


def test_the_text_is_base64url_without_padding() -> None:
    assert BlobId(bytes(32)).text() == "A" * 43
    assert BlobId(b"\xff" * 32).text() == "_" * 42 + "8"
    assert BlobId(b"\xfb\xef\xbe" * 10 + b"\xfb\xef").text() == "-" * 40 + "--8"


WRONG_TEXTS = {
    "empty": "",
    "too short": TEXT[:-1],
    "too long": TEXT + "A",
    "with its padding": TEXT[:-1] + "=",
    "padding inside": "====" + TEXT[4:],
    "spare bits set": "A" * 42 + "B",
    "standard alphabet, plus": "+" + TEXT[1:],
    "standard alphabet, slash": "/" + TEXT[1:],
    "space": " " + TEXT[1:],
    "line break": TEXT[:-1] + "\n",
    "not ASCII": "ä" + TEXT[1:],
    "wide digits": "０" + TEXT[1:],  # noqa: RUF001 - on purpose
    "half of a surrogate pair": "\ud800" + TEXT[1:],
    "a NUL": "\0" + TEXT[1:],
}


@pytest.mark.parametrize("text", WRONG_TEXTS.values(), ids=WRONG_TEXTS)
def test_any_other_spelling_of_a_blob_id_is_refused(text: str) -> None:
    assert BlobId.parse(TEXT).text() == TEXT
    with pytest.raises(WireError, match="blob id"):
        BlobId.parse(text)
