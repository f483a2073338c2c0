"""What all work on the store shares: the files, the index, the quota, and the rule of what an error on disk means.

- Errors: a full disk is told and passes. After any other failed write or fsync nobody knows what the disk holds (the
  system may drop the page and call the next fsync a success): nothing more is written until the store is opened anew.
- Locks: `mutation` is held wherever a file and its row must change together; the database's own lock is taken inside
  it, never around it. Reads take only the latter, so they wait for one commit at most.
- Everything here runs in worker threads.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import logging
import threading
from collections.abc import Iterator, Sequence

from p2pnode.errors import DiskFullError, LocalStorageError
from p2pnode.protocols.page_digests import CommitteeDigests
from p2pnode.seams import Clock, Files
from p2pnode.storage.accounted import AccountedFiles
from p2pnode.storage.database import Database, IndexFailedError
from p2pnode.storage.names import directory_of, temporary_name
from p2pnode.storage.page_memory import PageMemory
from p2pnode.storage.quota import Quota
from p2pnode.storage.spread_files import DirectoryAwayError
from wire import limits
from wire.ids import Digest

log = logging.getLogger(__name__)

DISK_RESERVE_BYTES = 16 * limits.MIB
"""Room on the disk that pairs leave free unless a setting says more: without it a full disk could not even record that
something was deleted."""

_FULL = {errno.ENOSPC, errno.EDQUOT}
_TOO_MANY_FILES = {errno.EMFILE, errno.ENFILE}
_DAMAGE = {errno.EIO, errno.EBADMSG, errno.ENODATA, getattr(errno, "EUCLEAN", errno.EIO)}
"""What a disk says of a block that it cannot read. Other errors of a read (too many open files, say) tell nothing."""


def is_full(error: OSError) -> bool:
    """Tell whether an error means that there is no room."""
    return error.errno in _FULL


def is_damage(error: OSError) -> bool:
    """Tell whether an error of a read means that the file is gone or cannot be read any more."""
    return isinstance(error, FileNotFoundError) or error.errno in _DAMAGE


class DirectoriesChangedError(LocalStorageError):
    """A data directory went away or came back: the index must be made to agree with those that are here."""

    def __init__(self) -> None:
        """Say what to do when it goes on like this."""
        super().__init__("a data directory went away or came back in the middle of work: check the disks, try again")


class Engine:
    """The shared parts of one open store."""

    def __init__(
        self, files: Files, clock: Clock, *, quota_bytes: int, trash_s: int, disk_free_min_bytes: int | None = None
    ) -> None:
        """Hold the parts; `recovery` fills them."""
        self.quota = Quota(quota_bytes)
        self.files = AccountedFiles(files, self.quota)
        self.disk_free_min_bytes = DISK_RESERVE_BYTES if disk_free_min_bytes is None else disk_free_min_bytes
        """Room on the disk that pairs leave free."""
        self.clock = clock
        self.trash_s = trash_s
        """How long expired data stays in the trash."""
        self.database = Database(files)
        self.mutation = threading.RLock()
        self.ceilings: dict[str, int] = {}
        """Per purpose, a number above every sequence ever given out; durable in its file."""
        self.unwanted: set[str] = set()
        """Files of collected pairs that are still to be removed; guarded by `mutation`."""
        self.certificate_seen = Digest(bytes(Digest.length))
        """Up to here ended certificates were looked at; guarded by `mutation`."""
        self.shared_pages: CommitteeDigests | None = None
        """What we share with each peer, once somebody has asked; guarded by `mutation`."""
        self.changed_pages: dict[Digest, bytes] = {}
        """Pages whose records changed since they were last told, with their committees; guarded by `mutation`."""
        self.page_memory = PageMemory()
        """Records of pages that were read last; guarded by the database's lock."""
        self.has_untold_losses = True
        """Whether there may be lost pairs that were not retracted yet; nobody knows before the first look."""
        self.away: tuple[str, ...] = ()
        """The data directories that are not here, as the index knows."""
        self.generation = 0
        """How often the index was made to agree with the files since the store was opened."""
        self._failure: str | None = None
        self._numbers = itertools.count()
        self._directories: set[str] = set()

    @contextlib.contextmanager
    def writing_disk(self) -> Iterator[None]:
        """Surround every change on disk. Raises `DiskFullError`, or `LocalStorageError` from then on."""
        if self._failure is not None:
            message = f"nothing is written since an earlier failure: {self._failure}"
            raise LocalStorageError(message)
        try:
            self.check_directories()
            yield
        except DirectoryAwayError as error:
            raise DirectoriesChangedError from error
        except OSError as error:
            if is_full(error):
                message = f"the disk is full: {error.strerror}; free some space, nothing was lost"
                raise DiskFullError(message) from error
            if error.errno in _TOO_MANY_FILES:  # Nothing was opened, so nothing was written: it passes too.
                message = f"{error.strerror}; raise the limit with 'ulimit -n', then try again"
                raise LocalStorageError(message) from error
            self.fail(f"{error.strerror or error} ({error.filename or 'data directory'})")
            message = f"{self._failure}; check the disk, then start the node again"
            raise LocalStorageError(message) from error
        except IndexFailedError as error:
            self.fail(str(error))
            raise
        finally:
            with contextlib.suppress(OSError):  # Figures only; the next change measures again.
                self._measure()

    def check_directories(self) -> None:
        """Raise `DirectoriesChangedError` unless the data directories that are here are those that the index knows."""
        if self.files.away() != self.away:
            raise DirectoriesChangedError

    def accept_directories(self) -> None:
        """Go on with the data directories that are here now. Raises `LocalStorageError` without the first."""
        try:
            self.away = self.files.away()
        except OSError as error:
            message = f"{error.strerror} ({error.filename}), then try again"
            raise LocalStorageError(message) from error
        self._directories.clear()
        for each in self.away:
            log.error("the data directory %s is not here: its pairs are not served until it is back", each)

    def fail(self, reason: str) -> None:
        """Refuse every further write."""
        log.error("the store stops writing: %s", reason)
        self._failure = self._failure or reason

    def check_disk_room(self, byte_count: int) -> None:
        """Raise `DiskFullError` unless the disk takes a file of this size and keeps its reserve."""
        free_bytes = self.files.free_bytes()
        self.quota.note_disk(free_bytes, kept_free_bytes=self.disk_free_min_bytes)
        if free_bytes < byte_count + self.disk_free_min_bytes:
            message = (
                f"the disk has {free_bytes} bytes left, {byte_count} are needed and {self.disk_free_min_bytes} stay"
                " free: free some space"
            )
            raise DiskFullError(message)

    def _measure(self) -> None:
        """Ask how much room the disk has and what the index takes by now, for `usage`."""
        self.files.measure_root()
        self.quota.note_disk(self.files.free_bytes(), kept_free_bytes=self.disk_free_min_bytes)

    def write_temporary(self, name: str, parts: Sequence[bytes | memoryview]) -> str:
        """Write a file under a name of its own beside `name`, fsynced, and return that name.

        Raises `OSError`, with nothing left behind.
        """
        directory = directory_of(name)
        if directory and directory not in self._directories:
            self.files.make_directory(directory)
            self._directories.add(directory)
        temporary = temporary_name(name, next(self._numbers))
        try:
            self.files.write_new(temporary, parts)
        except BaseException:
            self.discard(temporary)
            raise
        return temporary

    def write_durably(self, name: str, data: bytes) -> None:
        """Write a whole file so that after a crash it is there as it was before or as it is now. Raises `OSError`."""
        temporary = self.write_temporary(name, [data])
        try:
            self.files.rename(temporary, name)
        except BaseException:
            self.discard(temporary)
            raise
        self.files.sync_directory(directory_of(name))

    def discard(self, name: str) -> bool:
        """Remove a file of which nobody was told; what cannot be removed now is dealt with when the store is opened."""
        try:
            self.files.remove(name)
        except FileNotFoundError:
            return True
        except DirectoryAwayError:
            return False
        except OSError as error:
            self.fail(f"cannot remove {name}: {error.strerror or error}")
            return False
        return True

    def size_or_zero(self, name: str) -> int:
        """Return a file's size, 0 when there is no such file. Raises `OSError`."""
        try:
            return self.files.size(name)
        except FileNotFoundError:
            return 0
