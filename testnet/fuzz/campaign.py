"""One campaign: so many damaged inputs for one target, each held to the target's promise.

Inputs that have an outcome not seen before join the pool that later ones are made from, so that damage builds on
damage. All comes from a seed. A finding is an input with what it broke; the campaign goes on, up to a few of them.
"""

from __future__ import annotations

import hashlib
import logging
import os
import random
import re
import traceback
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from testnet.fuzz.lines import CoveredLines
from testnet.fuzz.measure import EndlessError, Scales, Stopwatch, alarms, bounded_memory, peak_resident_kib
from testnet.fuzz.mutator import INPUT_BYTES_MAX, damaged
from testnet.fuzz.target import Check, Target
from testnet.memory import resident_bytes
from testnet.sim.clock import SimClock, run_in_virtual_time

POOL_MAX = 400
"""Inputs to make others from; beyond it a random one makes room."""

FINDINGS_MAX = 5
"""After so many a target is given up: they are likely one fault."""

OUTCOMES_MAX = 20_000
"""Distinct outcomes that are told apart."""

WEIGHED_EVERY = 101
"""Every so many inputs the memory is measured, and with each of the first WEIGHED_NEW_MAX new outcomes."""

WEIGHED_NEW_MAX = 300

PEAK_STEP_KIB = 4 * 1024
"""An input after which the process had so much more memory than ever is measured as well."""

TRACED_MAX = 600
"""Inputs on which covered lines are counted."""

_KNOWING_SHARE = 0.65
"""Inputs that are changed with knowledge of the format, where the target has it; the others are damaged blindly."""

_FACTS = re.compile(
    r"b?(?<![A-Za-rt-z])'(?:\\.|[^'\\])*'|b?\"(?:\\.|[^\"\\])*\"|12D3Koo\w+|\b[0-9a-f]{8,}\b|[A-Za-z0-9_-]{43}|0x[0-9a-f]+|[0-9]+"
)
"""What differs between two messages of one kind."""

_OUTCOME_CHARS = 160


@dataclass(frozen=True, slots=True)
class Finding:
    """An input that broke the promise."""

    target: str
    data: bytes
    what: str
    details: str = ""

    @property
    def name(self) -> str:
        """A name for the input's file."""
        return f"{hashlib.sha256(self.data).hexdigest()[:16]}.bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What came of a campaign."""

    target: str
    seed: int
    inputs: int
    past_framing: int
    """Inputs that got past the outer framing."""
    cpu_s: float
    outcomes: int
    peak_bytes: int
    """The most memory that one of the inputs took which were measured."""
    grown_bytes: int
    """How much more memory the process had at the end than after the first inputs."""
    lines_hit: int = 0
    lines_all: int = 0
    findings: tuple[Finding, ...] = ()

    @property
    def share(self) -> float:
        """The share of inputs that got past the outer framing."""
        return self.past_framing / self.inputs if self.inputs else 0.0


@dataclass(slots=True)
class _Tally:
    inputs: int = 0
    past_framing: int = 0
    cpu_s: float = 0.0
    peak_bytes: int = 0
    outcomes: dict[str, bool] = field(default_factory=dict)
    """Each outcome, and whether it is past the framing."""
    findings: list[Finding] = field(default_factory=list)


class Campaign:
    """Feeds one target."""

    def __init__(self, target: Target, *, seed: int, corpus: Sequence[bytes] = ()) -> None:
        """`corpus` are inputs that are tried as they are, and used to make others, besides the target's own."""
        self._target = target
        self._rng = random.Random(f"{seed}/{target.name}")
        self._seed = seed
        self._corpus = tuple(corpus)
        self._framing = re.compile(target.framing) if target.framing else None
        self._pool: list[bytes] = []
        self._kept: list[bytes] = []
        self._tally = _Tally()
        self._last = b""
        self._peak_kib = peak_resident_kib()

    def run(self, count: int, *, counts_lines: bool = True) -> Report:
        """Feed the corpus and `count` damaged inputs, or fewer where the target says so."""
        wanted = min(count, self._target.inputs_max or count)
        lines = CoveredLines(self._target.modules) if counts_lines else None
        grown: list[int] = []

        async def work(check: Check) -> None:
            await self._feed(check, wanted, grown)
            if lines is not None:
                with lines.watching():
                    await self._trace(check)

        self._play(work)
        tally = self._tally
        return Report(
            target=self._target.name,
            seed=self._seed,
            inputs=tally.inputs,
            past_framing=tally.past_framing,
            cpu_s=tally.cpu_s,
            outcomes=len(tally.outcomes),
            peak_bytes=tally.peak_bytes,
            grown_bytes=grown[-1] - grown[0] if grown else 0,
            lines_hit=lines.hit if lines else 0,
            lines_all=lines.total if lines else 0,
            findings=tuple(tally.findings),
        )

    def replay(self, inputs: Sequence[bytes]) -> tuple[Finding, ...]:
        """Feed exactly these inputs; return what they break."""

        async def work(check: Check) -> None:
            for data in inputs:
                await self._one(check, data, is_weighed=False)
                await self._one(check, data, is_weighed=True)

        self._play(work)
        return tuple(self._tally.findings)

    def _play(self, work: Callable[[Check], Awaitable[None]]) -> None:
        """Open the target and work with it. What fails around it, such as a task of its own, is the last input's."""

        async def main(_clock: SimClock) -> None:
            async with self._target.open(self._rng) as check:
                await work(check)

        disabled = logging.root.manager.disable
        logging.disable(logging.CRITICAL)
        try:
            with alarms(), bounded_memory():
                run_in_virtual_time(main, seed=self._seed)
        except EndlessError:
            self._found(self._last, "it does not end")
        except (Exception, BaseExceptionGroup) as error:
            if not self._tally.inputs:
                raise
            if isinstance(error, BaseExceptionGroup) and error.subgroup(EndlessError) is not None:
                self._found(self._last, "it does not end")
            else:
                self._found(self._last, f"tore the target down: {type(error).__name__}: {error}", _traceback_of(error))
        finally:
            logging.disable(disabled)

    async def _feed(self, check: Check, wanted: int, grown: list[int]) -> None:
        first = [*self._target.seeds(self._rng), *self._corpus]
        self._pool += first
        for data in first:
            await self._one(check, data, is_weighed=True)
        for number in range(wanted):
            if number == wanted // 10:
                grown.append(resident_bytes_now())
            data = self._make()
            await self._one(check, data, is_weighed=number % WEIGHED_EVERY == 0)
            if len(self._tally.findings) >= FINDINGS_MAX:
                break
        grown.append(resident_bytes_now())

    def _make(self) -> bytes:
        rng, mutate = self._rng, self._target.mutate
        data = rng.choice(self._pool)
        if mutate is not None and rng.random() < _KNOWING_SHARE:
            changed = mutate(rng, data)
            if changed != data and len(changed) <= max(INPUT_BYTES_MAX, len(data)):
                return changed
        return damaged(rng, data, self._pool)

    async def _one(self, check: Check, data: bytes, *, is_weighed: bool) -> None:
        """Feed one input, note its outcome, and measure what is new."""
        outcome, cpu_s = await self._outcome(check, data)
        tally = self._tally
        tally.inputs += 1
        tally.cpu_s += cpu_s
        is_past = tally.outcomes.get(outcome)
        if is_past is None:
            is_past = self._framing is None or self._framing.match(outcome) is None
            if len(tally.outcomes) < OUTCOMES_MAX:
                tally.outcomes[outcome] = is_past
                self._keep(data, is_past=is_past)
                is_weighed |= len(tally.outcomes) <= WEIGHED_NEW_MAX
        tally.past_framing += is_past
        if cpu_s > self._target.cpu_s_max:
            # Once may be a page fault or a garbage collection; an input that is dear is dear again.
            _, again_s = await self._outcome(check, data)
            if min(cpu_s, again_s) > self._target.cpu_s_max:
                self._found(data, f"{min(cpu_s, again_s):.2f} s of CPU for {len(data)} bytes")
        if is_weighed or self._has_peaked():
            await self._weigh(check, data)

    def _has_peaked(self) -> bool:
        """Tell whether this process has never had so much memory before: the last input may be why."""
        before, self._peak_kib = self._peak_kib, peak_resident_kib()
        return self._peak_kib > before + PEAK_STEP_KIB

    async def _outcome(self, check: Check, data: bytes) -> tuple[str, float]:
        watch = Stopwatch()
        self._last = data
        try:
            with watch:
                result = await check(data)
        except self._target.errors as error:
            return f"{type(error).__name__}: {_without_facts(str(error))}"[:_OUTCOME_CHARS], watch.cpu_s
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
            first_line = str(error).partition("\n")[0][:200]
            self._found(data, f"raised {type(error).__name__}: {first_line}", _traceback_of(error))
            return f"broken: {type(error).__name__}", watch.cpu_s
        return f"ok {result if isinstance(result, str) else type(result).__name__}", watch.cpu_s

    async def _weigh(self, check: Check, data: bytes) -> None:
        scales = Scales()
        allowed = self._target.memory_base_bytes + self._target.memory_per_byte * len(data)
        with scales.weighing():
            await self._outcome(check, data)
        if scales.peak_bytes > allowed:  # What is loaded or remembered once is no fault.
            with scales.weighing():
                await self._outcome(check, data)
        self._tally.peak_bytes = max(self._tally.peak_bytes, scales.peak_bytes)
        if scales.peak_bytes > allowed:
            self._found(data, f"{scales.peak_bytes} bytes of memory for {len(data)} bytes, {allowed} are allowed")

    async def _trace(self, check: Check) -> None:
        for data in [*self._kept, *(self._make() for _ in range(TRACED_MAX // 4))]:
            await self._outcome(check, data)

    def _keep(self, data: bytes, *, is_past: bool) -> None:
        if len(self._kept) < TRACED_MAX:
            self._kept.append(data)
        if not is_past:  # What is made of it would hardly get any further.
            return
        if len(self._pool) < POOL_MAX:
            self._pool.append(data)
        else:
            self._pool[self._rng.randrange(len(self._pool))] = data

    def _found(self, data: bytes, what: str, details: str = "") -> None:
        kind = _FACTS.sub("#", what)
        if all(_FACTS.sub("#", known.what) != kind for known in self._tally.findings):
            self._tally.findings.append(Finding(self._target.name, data, what, details))


@lru_cache(maxsize=256)
def _without_facts(message: str) -> str:
    """Return what kind of message it is. A few of them come again and again, and the pattern is slow."""
    return _FACTS.sub("#", message)


def _traceback_of(error: BaseException) -> str:
    return "".join(traceback.format_exception(error, limit=-8))


def resident_bytes_now() -> int:
    """Return how much memory this process has now."""
    return resident_bytes(os.getpid())
