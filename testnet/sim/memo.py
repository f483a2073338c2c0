"""Remembering in one world what pure functions of the node have answered: a thousand nodes check one record.

Nothing else changes by it: what is remembered is the answer to exactly these arguments, and only a good one: a yes, or
a value that nobody can change. It is forgotten with the world, and bounded, so that neither time nor memory of one run
depends on the runs before it. Nodes then share the values themselves, which is most of the memory of a large world.

What is remembered: signatures, the admission work of newcomers, and how envelopes and what is in them are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Generic, Protocol, TypeVar

from crypto import signing
from crypto.signing import Domain
from crypto.work import Task
from p2pnode.protocols import gossip, members
from testnet.sim.escapes import replaced
from wire import signed

ANSWERS_MAX = 50_000
"""Answers of each function that are remembered; the oldest makes room. Each takes from 500 bytes to 2 KB."""

BODY_BYTES_MAX = 4 * 1024
"""What is longer is looked at each time: it would fill the memory, and few of them are seen by many nodes."""

K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")


class Verify(Protocol):
    """`crypto.signing.verify`."""

    def __call__(self, domain: Domain, body: bytes, *, public_key: bytes, signature: bytes) -> None: ...


class Decode(Protocol):
    """`wire.codec.decode`."""

    def __call__(self, data: bytes, *kinds: type[T], bytes_max: int) -> T: ...


class CheckWork(Protocol):
    """`crypto.work.check_work`."""

    def __call__(self, task: Task, work: bytes) -> None: ...


class _Answers(Generic[K, V]):
    """Answers by their questions, the oldest first."""

    def __init__(self, answers_max: int) -> None:
        self._answers_max = answers_max
        self.known: dict[K, V] = {}

    def __len__(self) -> int:
        """Return how many answers are remembered."""
        return len(self.known)

    def put(self, question: K, answer: V) -> None:
        self.known[question] = answer
        if len(self.known) > self._answers_max:
            del self.known[next(iter(self.known))]


class RememberedSignatures:
    """A `verify` that asks the real one about each signature once, as long as the answer is yes."""

    def __init__(self, verify: Verify, *, answers_max: int = ANSWERS_MAX) -> None:
        """Nothing was asked yet."""
        self._verify = verify
        self._good = _Answers[tuple[Domain, bytes, bytes, bytes], None](answers_max)

    def __len__(self) -> int:
        """Return how many answers are remembered."""
        return len(self._good)

    def __call__(self, domain: Domain, body: bytes, *, public_key: bytes, signature: bytes) -> None:
        """Raise what the real one raises."""
        question = (domain, bytes(body), bytes(public_key), bytes(signature))
        if question in self._good.known:
            return
        self._verify(domain, body, public_key=public_key, signature=signature)
        if len(body) <= BODY_BYTES_MAX:
            self._good.put(question, None)


class RememberedWork:
    """A `check_work` that asks the real one about each solution once, as long as the answer is yes."""

    def __init__(self, check_work: CheckWork, *, answers_max: int = ANSWERS_MAX) -> None:
        """Nothing was asked yet."""
        self._check_work = check_work
        self._good = _Answers[tuple[Task, bytes], None](answers_max)

    def __len__(self) -> int:
        """Return how many answers are remembered."""
        return len(self._good)

    def __call__(self, task: Task, work: bytes) -> None:
        """Raise what the real one raises."""
        question = (task, bytes(work))
        if question not in self._good.known:
            self._check_work(task, work)
            self._good.put(question, None)


class RememberedValues:
    """A `decode` that reads the same bytes as the same kinds once: wire values are frozen, so nodes can share them."""

    def __init__(self, decode: Decode, *, answers_max: int = ANSWERS_MAX) -> None:
        """Nothing was read yet."""
        self._decode = decode
        self._values = _Answers[tuple[bytes, tuple[type[object], ...], int], object](answers_max)

    def __len__(self) -> int:
        """Return how many values are remembered."""
        return len(self._values)

    def __call__(self, data: bytes, *kinds: type[T], bytes_max: int) -> T:
        """Return, or raise, what the real one does."""
        if len(data) > BODY_BYTES_MAX or type(data) is not bytes:  # Who is given another kind may change it later.
            return self._decode(data, *kinds, bytes_max=bytes_max)
        question = (data, kinds, bytes_max)
        value = self._values.known.get(question)
        if value is None:
            value = self._decode(data, *kinds, bytes_max=bytes_max)
            self._values.put(question, value)
        return value  # type: ignore[return-value]  # what was read as one of these kinds


@contextmanager
def pure_answers_remembered() -> Iterator[None]:
    """Remember while the context lasts."""
    places = (
        (signing, "verify", RememberedSignatures),
        (members, "check_work", RememberedWork),
        (gossip, "decode", RememberedValues),
        (signed, "decode", RememberedValues),
    )
    with ExitStack() as stack:
        for module, name, remembered in places:
            stack.enter_context(replaced(module, name, remembered(getattr(module, name))))
        yield
