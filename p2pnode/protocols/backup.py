"""The backup of a node's keys: one text that a passphrase opens, with all that a new machine needs to go on."""

from __future__ import annotations

import base64
import json
import textwrap
from dataclasses import dataclass

from crypto.keys import BadKeyError, SigningKey
from crypto.sealing import SCRYPT_LOG2_N, SealError, seal_with_passphrase, unseal_with_passphrase
from p2pnode.errors import CallerError
from p2pnode.protocols.successions import Predecessor, predecessors_from_fields, predecessors_to_fields

HEADER = "p2pnode-backup-v1"

BACKUP_BYTES_MAX = 64 * 1024
"""The longest backup that is read: one has about 1 KB."""

_CONTEXT = HEADER.encode()
_LINE = 76


class BadBackupError(CallerError):
    """A text that is no backup of ours, or does not open."""

    reason = "BAD_BACKUP"


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """What is in a backup."""

    identity: SigningKey
    owner: SigningKey
    network: str
    profile: str
    bootstrap: tuple[str, ...]
    secret: str | None
    """The text of the network's secret file, None for a network without one."""
    predecessors: tuple[Predecessor, ...] = ()
    """The owner's earlier keys, the earliest first."""


def seal_backup(backup: Backup, passphrase: str, *, salt: bytes, nonce: bytes, log2_n: int = SCRYPT_LOG2_N) -> str:
    """Return the text of a backup file. Takes half a second."""
    content = json.dumps(
        {
            "identity": backup.identity.seed.hex(),
            "owner": backup.owner.seed.hex(),
            "network": backup.network,
            "profile": backup.profile,
            "bootstrap": list(backup.bootstrap),
            "secret": backup.secret,
            "predecessors": predecessors_to_fields(backup.predecessors),
        }
    )
    sealed = seal_with_passphrase(passphrase, content.encode(), salt=salt, nonce=nonce, context=_CONTEXT, log2_n=log2_n)
    return "\n".join([HEADER, *textwrap.wrap(base64.b64encode(sealed).decode("ascii"), _LINE), ""])


def open_backup(text: str, passphrase: str) -> Backup:
    """Return what is in the text of a backup file. Raises `BadBackupError`. Takes half a second."""
    header, _, body = text.strip().partition("\n")
    if header.strip() != HEADER or len(text) > BACKUP_BYTES_MAX:
        message = f"not a backup of a node's keys: expected a file that begins with {HEADER}"
        raise BadBackupError(message)
    try:
        sealed = base64.b64decode("".join(body.split()), validate=True)
        content = unseal_with_passphrase(passphrase, sealed, context=_CONTEXT)
    except SealError as error:
        raise BadBackupError(f"the backup cannot be opened: {error}") from error
    except ValueError as error:
        raise BadBackupError(f"the backup is damaged: {error}") from error
    return _read(content)


def _read(content: bytes) -> Backup:
    """Read what was sealed: by us, as the passphrase proves, but perhaps by a later version."""
    match json.loads(content):
        case {
            "identity": str(identity),
            "owner": str(owner),
            "network": str(network),
            "profile": str(profile),
            "bootstrap": [*bootstrap],
            "secret": None | str() as secret,
            **others,
        }:
            try:
                return Backup(
                    identity=SigningKey(bytes.fromhex(identity)),
                    owner=SigningKey(bytes.fromhex(owner)),
                    network=network,
                    profile=profile,
                    bootstrap=tuple(str(each) for each in bootstrap),
                    secret=secret,
                    # Backups of before owner keys could be rotated have none.
                    predecessors=predecessors_from_fields(others.get("predecessors", []), network=network),
                )
            except (ValueError, BadKeyError) as error:
                raise BadBackupError(f"the keys in the backup are damaged: {error}") from error
        case _:
            message = "the backup has other fields than this version knows: open it with the version that made it"
            raise BadBackupError(message)
