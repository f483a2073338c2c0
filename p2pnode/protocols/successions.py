"""Successions: how an owner puts a new key in the place of its old one, and what the old one can do from then on.

The first succession of a key that a node learns of stands there for good. No time in it could decide between two: who
has the old key signs any time. So the owner tells all who keep something of it, and who comes later with the stolen key
comes too late.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from crypto.keys import SigningKey
from crypto.sealing import KEY_BYTES
from crypto.signing import BadSignatureError
from p2pnode.errors import PeerFaultError
from p2pnode.protocols.refusal import RefusalError
from wire import limits
from wire.codec import decode, encode
from wire.errors import WireError
from wire.ids import PublicKey
from wire.messages import RefusalCode
from wire.ownership import Succession
from wire.records import Envelope, Lease
from wire.signed import Signed, open_envelope, sign_record

SUCCESSORS_MAX = 64
"""Keys of one owner that are followed, one after the other: a key a year for a lifetime."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Predecessor:
    """A key that was this owner's, as far as its successor still needs it: it signs nothing any more."""

    succession: Signed[Succession]
    catalogue_key: bytes
    """What the catalogue is sealed under that the key published last."""

    @property
    def key(self) -> PublicKey:
        """The key."""
        return self.succession.record.predecessor


def make_succession(predecessor: SigningKey, successor: SigningKey, *, time: int, network: str) -> Signed[Succession]:
    """Sign with both keys that one follows the other; `time` in seconds since 1970."""
    record = Succession(
        predecessor=PublicKey(predecessor.public), successor=PublicKey(successor.public), time=time, consent=None
    )
    consent = sign_record(record, key=successor, network=network)
    return sign_record(replace(record, consent=consent.envelope), key=predecessor, network=network)


def open_succession(envelope: Envelope, *, network: str) -> Signed[Succession]:
    """Check both signatures, and that they are of the keys that it names. Raises `WireError` or `BadSignatureError`."""
    signed = open_envelope(envelope, Succession, network=network)
    record = signed.record
    if record.consent is None or record.predecessor == record.successor:
        message = "a succession needs the consent of another key"
        raise WireError(message)
    consent = open_envelope(record.consent, Succession, network=network)
    if (signed.signer, consent.signer) != (record.predecessor, record.successor):
        message = "a succession is signed by the two keys that it names"
        raise WireError(message)
    if consent.record != replace(record, consent=None):
        message = "the successor has agreed to another succession"
        raise WireError(message)
    return signed


def check_succession(envelope: Envelope, *, network: str, wall: float) -> Signed[Succession]:
    """Check a succession that a peer brings. Raises `RefusalError`.

    One from the future is refused: until then its predecessor's new leases would count.
    """
    try:
        signed = open_succession(envelope, network=network)
    except (WireError, BadSignatureError) as error:
        raise RefusalError(RefusalCode.INVALID, f"the succession is not valid: {error}") from error
    if signed.record.time > wall + limits.CLOCK_SKEW_SECONDS:
        text = f"the succession is {signed.record.time - wall:.0f} s in the future; check the clocks of both nodes"
        raise RefusalError(RefusalCode.LEASE, text)
    return signed


def open_answer(envelope: Envelope | None, *, owner: PublicKey, network: str) -> Signed[Succession] | None:
    """Check the succession that a peer keeps of an owner. Raises `PeerFaultError`."""
    if envelope is None:
        return None
    try:
        signed = open_succession(envelope, network=network)
    except (WireError, BadSignatureError) as error:
        message = f"a succession that cannot count: {error}"
        raise PeerFaultError(message) from error
    if signed.record.predecessor != owner:
        message = "the succession of another owner than the one that was asked for"
        raise PeerFaultError(message)
    return signed


def is_too_late(lease: Signed[Lease], succession: Signed[Succession]) -> bool:
    """Tell whether a lease that is not here yet is one that the predecessor signed after its time.

    Earlier ones still count, because a repair brings them to new holders. Whoever has the old key can date a lease
    back, but not beyond the longest lease from the succession on.
    """
    return lease.record.start > succession.record.time


def kept_until(succession: Signed[Succession]) -> int:
    """Return until when a succession must be kept: no lease that its predecessor could still sign ends later."""
    return succession.record.time + limits.LEASE_SECONDS_MAX + limits.CLOCK_SKEW_SECONDS


def line_to(key: PublicKey, predecessors: Sequence[Predecessor]) -> tuple[Predecessor, ...]:
    """Return those predecessors that lead to a key, the earliest first: the others are of a rotation that failed."""
    line: list[Predecessor] = []
    by_successor = {each.succession.record.successor: each for each in predecessors}
    while (found := by_successor.pop(key, None)) is not None:
        line.insert(0, found)
        key = found.key
    return tuple(line)


def predecessors_to_fields(predecessors: Sequence[Predecessor]) -> list[dict[str, str]]:
    """Return predecessors as JSON has them, in a home and in a backup. What their catalogues open with is secret."""
    return [
        {"succession": encode(each.succession.envelope).hex(), "catalogue_key": each.catalogue_key.hex()}
        for each in predecessors
    ]


def predecessors_from_fields(fields: object, *, network: str) -> tuple[Predecessor, ...]:
    """Read what `predecessors_to_fields` gave. Raises `WireError`."""
    if not isinstance(fields, list) or len(fields) > SUCCESSORS_MAX:
        message = "expected a list of earlier owner keys"
        raise WireError(message)
    return tuple(_predecessor(each, network) for each in fields)


def _predecessor(fields: object, network: str) -> Predecessor:
    match fields:
        case {"succession": str(succession), "catalogue_key": str(catalogue_key), **others} if not others:
            try:
                envelope = decode(bytes.fromhex(succession), Envelope, bytes_max=limits.RECORD_BYTES_MAX)
                key = bytes.fromhex(catalogue_key)
                signed = open_succession(envelope, network=network)
            except (ValueError, BadSignatureError) as error:  # WireError too.
                message = f"an earlier owner key is damaged: {error}"
                raise WireError(message) from error
        case _:
            message = "an earlier owner key has other fields than this version knows"
            raise WireError(message)
    if len(key) != KEY_BYTES:
        message = f"the key of a catalogue has {KEY_BYTES} bytes, got {len(key)}"
        raise WireError(message)
    return Predecessor(succession=signed, catalogue_key=key)
