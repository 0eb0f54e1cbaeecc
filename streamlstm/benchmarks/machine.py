"""The machine, its load and the versions, as they stand beside every result."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec
from threadpoolctl import ThreadpoolController

__all__ = ["Machine", "describe_machine", "package_versions", "pinned_thread"]

_CPUINFO = Path("/proc/cpuinfo")
_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
_TELLING_FLAGS = (
    *("avx", "avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512vl", "avx512_vnni", "avx512_bf16", "avx512_fp16"),
    *("amx_tile", "amx_bf16", "asimd", "sve", "bf16"),
)


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured on. `blas` names the libraries that NumPy and SciPy compute with."""

    cpu: str
    cores: int
    isa: list[str]
    caches: list[str]
    system: str
    python: str
    blas: list[str]
    kernel_path: str
    load_average: float


def describe_machine(*, kernel_path: str) -> Machine:
    """Describe this machine. `kernel_path` is the instruction set that the compiled kernels chose."""
    model, flags = _processor()
    return Machine(
        cpu=model,
        cores=os.cpu_count() or 1,
        isa=[flag for flag in _TELLING_FLAGS if flag in flags],
        caches=_caches(),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=f"{platform.python_implementation()} {platform.python_version()}",
        blas=_blas_libraries(),
        kernel_path=kernel_path,
        load_average=round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else -1.0,
    )


def package_versions(packages: Iterable[str]) -> dict[str, str]:
    """Return the versions of those packages that are installed."""
    versions = {}
    for package in packages:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


@contextmanager
def pinned_thread() -> Iterator[int | None]:
    """Keep this thread, and the threads it starts meanwhile, on one processor; yield which, None where it cannot be."""
    if not hasattr(os, "sched_setaffinity"):
        yield None
        return
    before = os.sched_getaffinity(0)
    processor = max(before)  # the first one takes most of a machine's interrupts
    os.sched_setaffinity(0, {processor})
    try:
        yield processor
    finally:
        os.sched_setaffinity(0, before)


def _processor() -> tuple[str, set[str]]:
    model, flags = platform.processor() or platform.machine(), set[str]()
    if _CPUINFO.exists():
        for line in _CPUINFO.read_text("utf-8").splitlines():
            key, _, value = (part.strip() for part in line.partition(":"))
            if key == "model name":
                model = value
            elif key in ("flags", "Features"):
                flags = set(value.split())
                break
    return model, flags


def _caches() -> list[str]:
    caches = []
    for index in sorted(_CACHES.glob("index*")):
        level, kind, size = ((index / name).read_text("utf-8").strip() for name in ("level", "type", "size"))
        if kind != "Instruction":
            caches.append(f"L{level} {size}")
    return caches


def _blas_libraries() -> list[str]:
    import scipy.linalg.cython_blas  # noqa: F401 (loads the library that the kernels call)

    found = []
    for library in ThreadpoolController().info():
        if library["user_api"] == "blas":
            path = Path(library["filepath"])
            owner = path.parent.name.removesuffix(".libs")
            found.append(f"{library['internal_api']} {library['version']} ({library.get('architecture')}, {owner})")
    return found
