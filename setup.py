"""Builds the compiled kernel of the code, where there is a C compiler; everything else is said in pyproject.toml.

The library is no Python module: it is loaded with ctypes. So one build serves every Python, and a wheel that carries it
is bound to the platform only. Without a compiler the installation succeeds all the same, and numpy does the work.
"""

from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

SOURCES = Path("p2pnode", "coding", "native")
MODULE = "p2pnode.coding._kernel"

COMPILER_FLAGS = ["-std=c11", "-O3", "-g0", "-fvisibility=hidden", "-Wall", "-Wextra"]
"""Not -march: which instructions may be used is decided when the library is loaded."""


class BuildKernel(build_ext):
    """Builds a plain shared library under the name that `p2pnode.coding.kernel` looks for."""

    def get_ext_filename(self, fullname: str) -> str:
        """Return the name without the tag of this Python: any Python may load it."""
        return str(Path(*fullname.split("."))) + ".so"

    def run(self) -> None:
        """Build; what an earlier build left in the source tree goes first, so that a failure does not keep it."""
        Path(self.get_ext_filename(MODULE)).unlink(missing_ok=True)
        super().run()


class PlatformWheel(bdist_wheel):
    """Tags a wheel with the platform, if it carries the library, and with no version of Python."""

    def get_tag(self) -> tuple[str, str, str]:
        """Return `py3-none-<platform>`, or `py3-none-any` when there was no compiler."""
        has_kernel = any(Path(self.bdist_dir).rglob("_kernel.so"))
        return "py3", "none", super().get_tag()[2] if has_kernel else "any"


setup(
    ext_modules=[
        Extension(
            MODULE,
            sources=[str(path) for path in sorted(SOURCES.glob("*.c"))],
            depends=[str(path) for path in sorted(SOURCES.iterdir())],
            extra_compile_args=COMPILER_FLAGS,
            optional=True,
        )
    ],
    cmdclass={"build_ext": BuildKernel, "bdist_wheel": PlatformWheel},
)
