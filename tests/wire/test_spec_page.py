"""The spec page `docs/WIRE.md` says what the codec does: tags, fields, forms, domain tags."""

from __future__ import annotations

import re
from pathlib import Path
from typing import assert_never

import pytest

from tests.wire.strategies import KINDS
from wire import limits, protocol_ids, signed
from wire.audit_receipts import Outcome
from wire.codec import Nested, OneOf, fields_of, tag_of
from wire.evidence import EvidenceKind, Failure
from wire.messages import DialOutcome, RefusalCode
from wire.records import LeaseKind, LeaseScope, MemberState, RetractionReason
from wire.shapes import Bool, Fixed, ListOf, Maybe, Packed, Raw, Shape, Text, UInt

PAGE = (Path(__file__).parents[2] / "docs" / "WIRE.md").read_text(encoding="utf-8")
HEADING = re.compile(r"^### 0x([0-9a-f]{2}) (\w+)$", re.MULTILINE)


def form_of(shape: Shape) -> str:
    """Return a shape in the words of the page."""
    known = UInt | Bool | Fixed | Packed | Raw | Text | ListOf | Maybe | Nested | OneOf
    assert isinstance(shape, known)
    match shape:
        case UInt():
            return "uint" if (shape.low, shape.high) == (0, limits.UINT64_MAX) else f"uint {_span(shape)}"
        case Bool():
            return "bool"
        case Fixed():
            return f"{shape.kind.__name__} ({shape.kind.length})"
        case Packed():
            return f"0..{shape.high} of {form_of(Fixed(shape.kind))}, packed"
        case Raw():
            return f"bytes {_span(shape)}"
        case Text():
            return f"text {_span(shape)}"
        case ListOf():
            return f"list {_span(shape)} of {form_of(shape.item)}"
        case Maybe():
            return f"nil or {form_of(shape.shape)}"
        case Nested() | OneOf():
            return " or ".join(kind.__name__ for kind in shape.kinds)
        case _:
            assert_never(shape)


def _span(shape: UInt | Raw | Text | ListOf) -> str:
    return str(shape.low) if shape.low == shape.high else f"{shape.low}..{shape.high}"


def sections() -> dict[str, tuple[int, list[tuple[str, str, str]]]]:
    """Return the tag and the rows (field, form, meaning) of every type on the page."""
    headings = list(HEADING.finditer(PAGE))
    ends = [heading.start() for heading in headings[1:]] + [len(PAGE)]
    found = {}
    for heading, end in zip(headings, ends, strict=True):
        section = PAGE[heading.end() : end].partition("\n## ")[0]
        rows = re.findall(r"^\| ([a-z_]+) \| (.+?) \| (.*?)\|$", section, re.MULTILINE)
        found[heading[2]] = (int(heading[1], 16), [row for row in rows if row[0] != "field"])
    return found


SECTIONS = sections()


def test_the_page_has_every_type_in_the_order_of_the_tags() -> None:
    assert list(SECTIONS) == [kind.__name__ for kind in KINDS]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_the_page_gives_the_tag_and_the_form_of_every_field(kind: type[object]) -> None:
    tag, rows = SECTIONS[kind.__name__]
    assert tag == tag_of(kind)
    assert [(field, form) for field, form, _ in rows] == [(name, form_of(shape)) for name, shape in fields_of(kind)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_the_page_explains_every_field_but_the_version(kind: type[object]) -> None:
    for field, _, meaning in SECTIONS[kind.__name__][1]:
        assert meaning.strip() or field in {"version", "announcements"}


def test_the_page_gives_the_domain_tag_of_every_signed_record() -> None:
    rows = dict(re.findall(r"^\| (\w+) \| `([a-z ]+)` \| the .* key \|$", PAGE, re.MULTILINE))
    assert rows == {kind.__name__: tag for kind, tag in signed._DOMAIN_TAGS.items()}


@pytest.mark.parametrize(
    ("name", "field", "cases"),
    [
        ("Refused", "code", RefusalCode),
        ("MemberRecord", "state", MemberState),
        ("Lease", "kind", LeaseKind),
        ("Lease", "scope", LeaseScope),
        ("Retraction", "reason", RetractionReason),
        ("DialledBack", "outcomes", DialOutcome),
        ("Evidence", "kind", EvidenceKind),
        ("TellVerdict", "failure", Failure),
        ("AuditedPair", "outcome", Outcome),
    ],
)
def test_the_page_names_every_case_of_an_enumeration(
    name: str,
    field: str,
    cases: type[
        RefusalCode
        | MemberState
        | LeaseKind
        | LeaseScope
        | RetractionReason
        | DialOutcome
        | EvidenceKind
        | Failure
        | Outcome
    ],
) -> None:
    meaning = {row[0]: row[2] for row in SECTIONS[name][1]}[field]
    named = re.findall(r"(\d) (?:an? )?([a-z ]+?)(?:,|$)", meaning.strip())
    assert [(int(number), word.replace(" ", "_").upper()) for number, word in named] == [
        (case.value, case.name) for case in cases
    ]


def test_the_page_names_the_limits_that_it_speaks_of_with_their_values() -> None:
    for name in re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", PAGE):
        assert hasattr(limits, name) or hasattr(protocol_ids, name) or name == "RED_STUFF", name
    for value, name in re.findall(r"([\d,]+)(?: bytes)? \(([A-Z_]+)\)", PAGE):
        assert getattr(limits, name) == int(value.replace(",", "")), name
