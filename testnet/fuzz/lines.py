"""Which lines of the functions of some modules an input runs through, for the figure beside a target."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import Any

_CLASS_BODIES = {"__module__", "__qualname__"}


class CoveredLines:
    """Counts lines inside functions; what runs when a module is imported says nothing and is left out."""

    def __init__(self, modules: Sequence[ModuleType]) -> None:
        """Read the source of the modules."""
        self._all: dict[str, set[int]] = {}
        for module in modules:
            path = module.__file__
            assert path is not None, f"{module.__name__} has no source"
            whole = compile(Path(path).read_text(encoding="utf-8"), path, "exec")
            self._all[path] = set(_function_lines(whole, is_function=False))
        self._hit: dict[str, set[int]] = {path: set() for path in self._all}

    @property
    def hit(self) -> int:
        """Lines that ran."""
        return sum(len(self._hit[path] & lines) for path, lines in self._all.items())

    @property
    def total(self) -> int:
        """Lines that there are."""
        return sum(map(len, self._all.values()))

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Count what runs in the block; it is about ten times slower."""
        before = sys.gettrace()
        sys.settrace(self._enter)
        try:
            yield
        finally:
            sys.settrace(before)

    def _enter(self, frame: FrameType, _event: str, _argument: Any) -> Any:  # noqa: ANN401 - the interpreter's own types
        lines = self._hit.get(frame.f_code.co_filename)
        if lines is None:
            return None

        def note(inner: FrameType, _event: str, _argument: Any) -> Any:  # noqa: ANN401 - as above
            lines.add(inner.f_lineno)
            return note

        lines.add(frame.f_lineno)
        return note


def _function_lines(code: CodeType, *, is_function: bool) -> Iterator[int]:
    if is_function:
        yield from (line for _, _, line in code.co_lines() if line is not None and line != code.co_firstlineno)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            is_class = _CLASS_BODIES.issubset(constant.co_names)
            yield from _function_lines(constant, is_function=not is_class)
