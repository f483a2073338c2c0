"""What is certified about a blob or file: its certificate, and the proofs of those that it names."""

from __future__ import annotations

import base64

from p2pnode.errors import NotFoundError
from p2pnode.protocols.certificates import CheckedCertificate
from p2pnode.protocols.page_records import PageRecords
from p2pnode.services.get import Getter
from p2pnode.services.lookup import Lookup
from p2pnode.services.results import KnownCertificate
from wire.codec import encode
from wire.references import Reference


async def known_certificate(getter: Getter, reference: Reference, *, network: str) -> KnownCertificate:
    """Return the certificate of the page that a blob, or a file's manifest, is in. Raises as `Getter.open` does."""
    _, certificate = await _find(getter, reference)
    envelope = base64.b64encode(encode(certificate.signed.envelope)).decode("ascii")
    return KnownCertificate(network=network, envelope=envelope)


async def records_about(getter: Getter, reference: Reference) -> PageRecords:
    """Return all that is known of the receipts of that page. Raises as `Getter.open` does."""
    lookup, certificate = await _find(getter, reference)
    return await lookup.records_of(certificate)


async def _find(getter: Getter, reference: Reference) -> tuple[Lookup, CheckedCertificate]:
    lookup = getter.lookup()
    found = await lookup.find(reference.blob_id)
    if found.certificate is None:
        raise NotFoundError(f"nobody who answered has a certificate of {reference.text()}: its upload was not finished")
    return lookup, found.certificate
