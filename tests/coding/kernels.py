"""The kernels that can run here, by name. `make sanitize` names another library to take them from."""

import os
from functools import cache
from pathlib import Path

from p2pnode.coding.interface import Kernel
from p2pnode.coding.kernel import LIBRARY, choose

LIBRARY_VARIABLE = "P2PNODE_TEST_KERNEL_LIBRARY"

TESTED_LIBRARY = Path(os.environ.get(LIBRARY_VARIABLE) or LIBRARY)

KERNEL_NAMES = choose("", library=TESTED_LIBRARY).available
"""Among them always the reference, which agrees with itself: so no test is left out where nothing was compiled."""


@cache
def kernel_named(name: str) -> Kernel:
    return choose(name, library=TESTED_LIBRARY).kernel
