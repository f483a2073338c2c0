"""The figures of `benchmarks/coding.py`, and which of the gates they pass."""

from __future__ import annotations

import math
import statistics
from dataclasses import asdict, dataclass, field

from benchmarks.coding_peers import WASM, WHEEL
from benchmarks.coding_questions import MB, SIZE_NAMES, Scenario

BIG = 32 * MB
GATE_SCENARIOS = (Scenario(10, MB), Scenario(100, BIG), Scenario(1000, BIG))

ENCODE_GATES = {"avx2": (4.0, 8.0, 6.0), "avx512": (6.0, 12.0, 10.0), "reference": (0.6, 0.6, 0.6)}
"""At least so many times as fast as the Walrus encoder, in the scenarios above."""
DECODE_GATE = 10.0
THREADS_GATE = 1.6
LOAD_S_MAX = 0.010
LOAD_BYTES_MAX = 5 * MB
LATE_S_MAX = 0.005
PEAK_BLOBS_MAX = 5.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One contestant, one work, one scenario."""

    work: str
    scenario: Scenario
    contestant: str
    rounds: tuple[float, ...]
    """Seconds of one time, in each round; empty when it is not offered."""

    @property
    def seconds(self) -> float:
        """The median."""
        return statistics.median(self.rounds)

    @property
    def mb_per_s(self) -> float:
        """Millions of bytes a second, by the median."""
        return self.scenario.bytes_of(self.work) / MB / self.seconds

    def times_as_fast_as(self, other: Line) -> float:
        """Return the median of the ratios of each round: what slows a round down slows both."""
        return statistics.median(theirs / mine for mine, theirs in zip(self.rounds, other.rounds, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One demand of the project, and what was measured."""

    claim: str
    wanted: float
    measured: float | None
    is_least: bool = True
    """Whether more is better."""

    @property
    def verdict(self) -> str:
        """Passed, fell short, or not measured."""
        if self.measured is None:
            return "not measured"
        is_passed = self.measured >= self.wanted if self.is_least else self.measured <= self.wanted
        return "passed" if is_passed else "fell short"


@dataclass(slots=True)
class Results:
    """Everything that one run measured."""

    machine: dict[str, str]
    kernel: str
    """Our fastest one here."""
    available: tuple[str, ...]
    lines: list[Line] = field(default_factory=list)
    peaks: dict[tuple[str, Scenario], int] = field(default_factory=dict)
    """Bytes by which an encode raised the resident set size of a fresh process, the blob included."""
    lateness: dict[str, dict[str, float]] = field(default_factory=dict)
    loads: list[tuple[float, int]] = field(default_factory=list)
    """Seconds and bytes of choosing the kernel in fresh processes."""
    limits: dict[str, float] = field(default_factory=dict)
    stages: dict[Scenario, dict[str, float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def line(self, work: str, scenario: Scenario, contestant: str) -> Line | None:
        """Return a line that has been measured."""
        for each in self.lines:
            if (each.work, each.scenario, each.contestant) == (work, scenario, contestant) and each.rounds:
                return each
        return None

    def base(self, work: str) -> str:
        """Return whom ratios compare with: the Walrus encoder where it offers the work, else the wheel."""
        has_it = any(each.rounds for each in self.lines if each.work == work and each.contestant == WASM)
        return WASM if has_it else WHEEL

    def ratio(self, work: str, scenario: Scenario, contestant: str, base: str) -> float | None:
        """Return how many times as fast one is as another; None without both."""
        mine, theirs = self.line(work, scenario, contestant), self.line(work, scenario, base)
        return None if mine is None or theirs is None else mine.times_as_fast_as(theirs)

    @property
    def in_threads(self) -> str:
        """The contestant that is our fastest one with two threads."""
        return f"{self.kernel}, 2 threads"

    def gates(self) -> list[Gate]:
        """Return all gates that this machine can be held to."""
        return [*self._ratio_gates(), *self._node_gates()]

    def as_json(self) -> dict[str, object]:
        """Return it for programs."""
        return {
            "machine": self.machine,
            "kernel": self.kernel,
            "available": self.available,
            "lines": [
                {
                    "work": each.work,
                    "n": each.scenario.n,
                    "size": each.scenario.size,
                    "contestant": each.contestant,
                    "seconds": each.seconds if each.rounds else None,
                    "mb_per_s": each.mb_per_s if each.rounds else None,
                    "base": self.base(each.work),
                    "ratio": self.ratio(each.work, each.scenario, each.contestant, self.base(each.work)),
                    "rounds": each.rounds,
                }
                for each in self.lines
            ],
            "peaks": [
                {"contestant": name, "n": scenario.n, "size": scenario.size, "bytes": count}
                for (name, scenario), count in self.peaks.items()
            ],
            "lateness": self.lateness,
            "loads": self.loads,
            "limits": self.limits,
            "stages": [{"n": each.n, "size": each.size, **figures} for each, figures in self.stages.items()],
            "gates": [{**asdict(gate), "verdict": gate.verdict} for gate in self.gates()],
            "notes": self.notes,
        }

    def _ratio_gates(self) -> list[Gate]:
        gates = []
        for kernel, wanted in ENCODE_GATES.items():
            if kernel not in self.available:
                continue
            for scenario, least in zip(GATE_SCENARIOS, wanted, strict=True):
                ratio = self.ratio("encode", scenario, kernel, WASM)
                gates.append(Gate(claim=f"encode, {scenario.name}: {kernel} to {WASM}", wanted=least, measured=ratio))
        # Without a compiled kernel a node works, and nothing more is promised.
        for scenario in GATE_SCENARIOS if self.kernel != "reference" else ():
            ratio = self.ratio("decode", scenario, self.kernel, WASM)
            claim = f"decode, {scenario.name}: {self.kernel} to {WASM}"
            gates.append(Gate(claim=claim, wanted=DECODE_GATE, measured=ratio))
        for scenario in GATE_SCENARIOS[1:] if self.kernel != "reference" else ():
            ratio = self.ratio("encode", scenario, self.in_threads, self.kernel)
            claim = f"encode, {scenario.name}: two threads to one"
            gates.append(Gate(claim=claim, wanted=THREADS_GATE, measured=ratio))
        return gates

    def _node_gates(self) -> list[Gate]:
        seconds = statistics.median(each[0] for each in self.loads) if self.loads else math.nan
        count = statistics.median(each[1] for each in self.loads) if self.loads else math.nan
        late = self.lateness.get("busy", {}).get("p99_s", math.nan)
        gates = [
            _at_most("kernel load, ms", LOAD_S_MAX * 1000, seconds * 1000),
            _at_most("kernel load, MB", LOAD_BYTES_MAX / MB, count / MB),
            _at_most("lateness of a 2 ms ticker during 32 MB encodes, p99, ms", LATE_S_MAX * 1000, late * 1000),
        ]
        for scenario in GATE_SCENARIOS[1:]:
            peak = self.peaks.get((self.kernel, scenario), math.nan)
            claim = f"peak memory of an encode, {SIZE_NAMES[scenario.size]}, n={scenario.n}, as a multiple of the blob"
            gates.append(_at_most(claim, PEAK_BLOBS_MAX, peak / scenario.size))
        return gates


def _at_most(claim: str, wanted: float, measured: float) -> Gate:
    return Gate(claim=claim, wanted=wanted, measured=None if math.isnan(measured) else measured, is_least=False)
