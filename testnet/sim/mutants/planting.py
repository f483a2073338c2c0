"""Planting a bug: an import hook that loads changed source instead of a module's own. Nothing on disk is changed."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType

ROOT = Path(__file__).resolve().parents[3]
"""Where the packages are."""


class PlantingError(Exception):
    """A patch does not fit the source, or comes too late to have an effect."""


@dataclass(frozen=True, slots=True)
class Edit:
    """Whole lines that are replaced by others."""

    old: str
    """They stand in the module exactly once."""
    new: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """A planted bug: an error that somebody could make, in one module of production source."""

    name: str
    module: str
    edits: tuple[Edit, ...]
    breaks: str
    """What no longer holds, in a sentence."""
    scenarios: tuple[str, ...]
    """Where it is to be found, the likeliest first."""
    nodes: int | None = None
    """How many nodes suffice; None for as many as the scenario has."""

    def source(self) -> str:
        """Return the module's source with the bug in it. Raises `PlantingError` when old lines are not there once."""
        text = "\n" + source_path(self.module).read_text(encoding="utf-8")
        for edit in self.edits:
            count = text.count("\n" + edit.old)
            if count != 1:
                message = f"{self.name}: this stands {count} times in {self.module}, not once: {edit.old!r}"
                raise PlantingError(message)
            text = text.replace("\n" + edit.old, "\n" + edit.new)
        return text[1:]


def source_path(module: str) -> Path:
    """Return the file of a module of ours."""
    return ROOT.joinpath(*module.split(".")).with_suffix(".py")


def plant(module: str, source: str) -> None:
    """Let this process import `source` when it imports the module. Raises `PlantingError` when it did so already."""
    if module in sys.modules:
        message = f"{module} is imported already: plant in a fresh process"
        raise PlantingError(message)
    sys.meta_path.insert(0, _Finder(module, source))


def require_planted(module: str) -> None:
    """Raise `PlantingError` unless the planted source of a module is what runs: else nothing was tested."""
    loaded = sys.modules.get(module)
    if loaded is None or not isinstance(loaded.__loader__, _Loader):
        message = f"{module} was planted and never imported"
        raise PlantingError(message)


class _Loader(importlib.machinery.SourceFileLoader):
    """Loads other source under a module's name and path; its bytecode is neither read nor written."""

    def __init__(self, module: str, source: str) -> None:
        super().__init__(module, str(source_path(module)))
        self._source = source

    def get_code(self, fullname: str) -> CodeType:
        """Compile the planted source; tracebacks name the module's own file."""
        code = compile(self._source, self.get_filename(fullname), "exec", dont_inherit=True)
        assert isinstance(code, CodeType)
        return code


class _Finder(importlib.abc.MetaPathFinder):
    """Finds one module."""

    def __init__(self, module: str, source: str) -> None:
        self._module = module
        self._source = source

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return a spec with the planted source, for this module only."""
        del path, target
        if fullname != self._module:
            return None
        loader = _Loader(fullname, self._source)
        return importlib.util.spec_from_file_location(fullname, loader.get_filename(fullname), loader=loader)
