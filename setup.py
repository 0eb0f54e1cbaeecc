"""The extensions of streamlstm; everything else stands in pyproject.toml.

STREAMLSTM_DEBUG_BUILD=1   bounds checks and negative indices checked, no optimisation
STREAMLSTM_SANITIZE=1      address and undefined-behaviour sanitizers, whose libraries must be preloaded (make sanitize)
STREAMLSTM_NATIVE=1        all but the levels for this machine's processor, for tests: headers choose other code there
"""

import os
import platform
import shlex
import shutil
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

SOURCES = Path("src_cython/streamlstm/kernels")
RECIPE = [*sorted(SOURCES.rglob("*.[ch]")), Path(__file__)]
HEADERS = [str(path) for path in RECIPE[:-1]]
KERNELS = (
    "checks",
    "isa",
    "probes",
    "weights",
    "lanes",
    "worker_pool",
    "state_arena",
    "step",
    "unroll",
    "adamw",
    "activity",
    "admission",
    "channel_runs",
    "residuals",
    "prototypes",
    "scores",
    "settled",
    "own_units",
)

IS_DEBUG = os.environ.get("STREAMLSTM_DEBUG_BUILD") == "1"
IS_SANITIZED = os.environ.get("STREAMLSTM_SANITIZE") == "1"
IS_NATIVE = os.environ.get("STREAMLSTM_NATIVE") == "1"

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": IS_DEBUG,
    "wraparound": IS_DEBUG,
    "initializedcheck": IS_DEBUG,
    "cdivision": not IS_DEBUG,
    "embedsignature": True,
}

# -fwrapv, which CPython's own flags hold, would keep gcc from vectorising the gates: the loops use Py_ssize_t indices,
# and the switch is taken back here. No -ffast-math: it deletes NaN checks. No -march=native: what is shipped must run
# anywhere.
COMPILE = ["-O0", "-g"] if IS_DEBUG else ["-O3", "-fno-wrapv"]
COMPILE += ["-fno-math-errno", "-fno-trapping-math"]
LINK: list[str] = []
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]

# What is compiled once a level of the instruction set: the step, through register tiles, through BLAS and, where the
# processor has it, with products of bfloat16; the training kernels; AdamW; distances to prototypes; the probes. What is
# shipped runs on any processor, and levels/dispatch.c finds the best level, on which all of them run. Nothing may be
# contracted: a sum has the same bits in every tile.
LEVELS = {"baseline": []}
if platform.machine().lower() in ("x86_64", "amd64"):
    LEVELS = {"v4": ["-march=x86-64-v4", "-mprefer-vector-width=512"], "v3": ["-march=x86-64-v3"]} | LEVELS
PATHS = [
    ("step/fused.c", f"{level}{suffix}", [*flags, *defined])
    for level, flags in LEVELS.items()
    for suffix, defined in (("", []), ("_blas", ["-DFUSED_BLAS"]), ("_bfloat16", ["-DFUSED_BFLOAT16", "-mavx512bf16"]))
    if level == "v4" or suffix != "_bfloat16"
]
PATHS += [
    (source, level, flags)
    for source in ("training/training.c", "training/adamw.c", "scoring/prototypes.c", "levels/probes.c")
    for level, flags in LEVELS.items()
]
if IS_SANITIZED:
    COMPILE += ["-O1", "-g", "-fno-omit-frame-pointer", *SANITIZERS]
    LINK += SANITIZERS
NATIVE = ["-march=native", "-ffp-contract=off"] if IS_NATIVE else []


def stop_when_missing() -> None:
    """End the build with one sentence that says what is missing and how to get it."""
    missing = []
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")[0]
    if os.name == "posix" and shutil.which(compiler) is None:
        missing.append(f"a C compiler ({compiler}; Debian: apt install gcc)")
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        missing.append(f"the headers of Python {version} (Python.h; Debian: apt install python{version}-dev)")
    for module, requirement in (("Cython", "Cython>=3.1"), ("numpy", "numpy>=2"), ("scipy", "scipy")):
        try:
            __import__(module)
        except ImportError:
            missing.append(f"{module} (pip install '{requirement}')")
    if missing:
        sys.exit(f"streamlstm cannot be built: missing {', and '.join(missing)}.")


class BuildKernels(build_ext):
    """Check what is needed, translate with Cython, compile."""

    def finalize_options(self) -> None:
        stop_when_missing()
        import numpy as np
        from Cython.Build import cythonize

        for extension in self.distribution.ext_modules:
            extension.include_dirs.append(np.get_include())
        self.distribution.ext_modules = cythonize(
            self.distribution.ext_modules,
            build_dir="build/cython",
            include_path=["src_cython"],
            compiler_directives=DIRECTIVES,
            force=IS_DEBUG or IS_SANITIZED or IS_NATIVE,
        )
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()

    def build_extension(self, ext: Extension) -> None:
        if ext.name.endswith(".isa"):
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                ext.extra_objects = list(pool.map(lambda path: self._compiled(*path), PATHS))
        super().build_extension(ext)

    def _compiled(self, source: str, name: str, flags: list[str]) -> str:
        """Compile for one path; the compiler would put every path's object into one file, hence the folder."""
        folder = Path(self.build_temp, "levels", name)
        (built,) = self.compiler.object_filenames([str(SOURCES / source)], output_dir=str(folder))
        changed = max(path.stat().st_mtime for path in RECIPE)
        if not self.force and Path(built).exists() and Path(built).stat().st_mtime > changed:
            return str(built)
        (built,) = self.compiler.compile(
            [str(SOURCES / source)],
            output_dir=str(folder),
            include_dirs=[str(SOURCES)],
            extra_postargs=[*COMPILE, *flags, "-ffp-contract=off", f"-DLEVEL={name}"],
            depends=HEADERS,
        )
        return built


setup(
    cmdclass={"build_ext": BuildKernels},
    ext_modules=[
        Extension(
            f"streamlstm.kernels.{name}",
            [str(SOURCES / f"{name}.pyx"), *([str(SOURCES / "levels/dispatch.c")] if name == "isa" else [])],
            include_dirs=[str(SOURCES)],
            define_macros=[("NPY_NO_DEPRECATED_API", "NPY_1_7_API_VERSION")],
            depends=HEADERS,
            extra_compile_args=[*COMPILE, *NATIVE],
            extra_link_args=LINK,
        )
        for name in KERNELS
    ],
)
