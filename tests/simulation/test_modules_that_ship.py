"""The node that is simulated is the node that ships: its loaded code is what the files of the package say."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

import p2pnode
from p2pnode import node as node_module
from p2pnode import services, storage
from p2pnode.node import Node
from p2pnode.services.get import Getter
from p2pnode.services.ownership import Ownership
from p2pnode.services.put import Putter
from p2pnode.storage.store import SliverStore
from testnet.sim.users import put
from testnet.sim.world import World, run_world

PACKAGE = Path(p2pnode.__file__).parent


def _shipped() -> list[types.ModuleType]:
    """Return `node.py` and all modules of `services` and `storage`."""
    names = [
        f"{package.__name__}.{each.name}"
        for package in (services, storage)
        for each in pkgutil.iter_modules(package.__path__)
    ]
    return [node_module, *(importlib.import_module(name) for name in names)]


def _functions(module: types.ModuleType) -> Iterator[tuple[str, types.CodeType]]:
    """Yield the code of every function and method that a module defines, as it is loaded now."""
    owners: list[object] = [module, *(each for each in vars(module).values() if inspect.isclass(each))]
    for owner in owners:
        if owner is not module and getattr(owner, "__module__", "") != module.__name__:
            continue
        for name, value in vars(owner).items():
            plain = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
            code = getattr(inspect.unwrap(plain), "__code__", None) if callable(plain) else None
            if code is not None and getattr(plain, "__module__", "") == module.__name__:
                yield f"{module.__name__}.{getattr(owner, '__name__', '')}.{name}", code


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _differences(module: types.ModuleType) -> list[str]:
    """Return which functions of a loaded module are not what its file says; code that dataclasses make has no file."""
    assert module.__file__ is not None
    source = Path(module.__file__).read_text("utf-8")
    written = set(_codes(compile(source, module.__file__, "exec", dont_inherit=True)))
    made = "<string>"  # Where `dataclass` and `NamedTuple` compile what they generate.
    return [name for name, code in _functions(module) if code not in written and code.co_filename != made]


def test_what_runs_in_the_simulator_is_what_the_files_of_the_package_say(seed: int) -> None:
    found: list[str] = []

    async def scenario(world: World) -> None:
        await world.start_nodes(4)
        await put(world.machines["n1"], world.rng.randbytes(5_000))
        for module in _shipped():
            assert sys.modules[module.__name__] is module
            assert Path(str(module.__file__)).is_relative_to(PACKAGE)
            found.extend(_differences(module))

    run_world(seed, scenario)
    assert not found


def test_every_part_of_a_simulated_node_is_of_a_class_that_ships(seed: int) -> None:
    async def scenario(world: World) -> None:
        node = (await world.start_node("n0")).node
        assert type(node) is Node
        parts = [value for value in vars(node).values() if type(value).__module__.startswith("p2pnode")]
        assert {SliverStore, Ownership, Getter} <= {type(part) for part in parts}
        for part in [node, *parts]:
            module = sys.modules[type(part).__module__]
            assert getattr(module, type(part).__qualname__) is type(part)
            assert module.__file__ is not None
            assert PACKAGE in Path(module.__file__).parents

    run_world(seed, scenario)


def test_a_replaced_method_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len([name for module in _shipped() for name, _ in _functions(module)]) > 300

    async def put_nothing(*_arguments: object) -> None:
        """Store nothing, and look as if it were of that module."""

    put_nothing.__module__ = Putter.__module__
    monkeypatch.setattr(Putter, "put", put_nothing)
    assert _differences(sys.modules[Putter.__module__]) == ["p2pnode.services.put.Putter.put"]
