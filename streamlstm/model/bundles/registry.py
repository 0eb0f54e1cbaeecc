"""Published models in a folder, versions beside each other, and two names that say which is in use.

    ROOT/NAME/1.safetensors  2.safetensors  3.safetensors ...
    ROOT/NAME/champion -> 3.safetensors      what a worker loads: its configuration names this path
    ROOT/NAME/previous -> 2.safetensors      what `rollback` goes back to
    ROOT/NAME/.lock                          held by whoever publishes

A version's file never changes, and is whole before it has its name. An alias is a relative symbolic link that is
replaced in one step: whoever opens it finds the old model or the new one. A process that is killed at any moment leaves
a registry that is sound; `prune` removes its drafts.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import msgspec
from safetensors import SafetensorError, safe_open

from streamlstm.errors import RegistryError, UsageError
from streamlstm.model.bundles.causal import ModelBundle

__all__ = ["CHAMPION", "PREVIOUS", "Registry", "find"]

CHAMPION, PREVIOUS = "champion", "previous"

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_VERSION = re.compile(r"([1-9][0-9]*)\.safetensors")
_DRAFT = ".draft"
_LOCK = ".lock"


class Registry:
    """The models below one folder. Those who write hold `lock`; those who read need nothing."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)

    def names(self) -> tuple[str, ...]:
        """Return the names that have at least one version, sorted."""
        if not self.root.is_dir():
            return ()
        folders = sorted(entry.name for entry in self.root.iterdir() if entry.is_dir())
        return tuple(name for name in folders if _NAME.fullmatch(name) and self.versions(name))

    def versions(self, name: str) -> tuple[int, ...]:
        """Return the versions of a model, oldest first; none when there is no such model."""
        return tuple(version for version, _ in _version_files(self._folder(name)))

    def path(self, name: str, version: int) -> Path:
        """Return the file of a version. Raises: UsageError naming the versions there are."""
        known = self.versions(name)
        if version not in known:
            listed = ", ".join(map(str, known)) or "none"
            raise UsageError(f"{self._folder(name)}: there is no version {version}; versions there: {listed}")
        return self._folder(name) / f"{version}.safetensors"

    def champion(self, name: str) -> int | None:
        """Return the version in use; None before the first."""
        return self._alias(name, CHAMPION)

    def previous(self, name: str) -> int | None:
        """Return the version that was in use before the champion; None when there was none."""
        return self._alias(name, PREVIOUS)

    def publish(self, name: str, bundle: ModelBundle) -> int:
        """Write the bundle as the next version, under its name and number, and return that; nothing points at it yet.

        Raises: RegistryError or BundleError when the disk refuses; the versions before it are as they were.
        """
        folder = self._folder(name)
        draft = folder / f"{_DRAFT}.{os.getpid()}"
        with _disk(folder, "publish"):
            folder.mkdir(parents=True, exist_ok=True)
            version = max((0, *self.versions(name))) + 1
            target = folder / f"{version}.safetensors"
            try:
                replace(bundle, name=name, version=version).save(draft)
                _sync(draft)
                os.link(draft, target)  # unlike a renaming it fails when another has taken the number
            finally:
                draft.unlink(missing_ok=True)
            _sync(folder)
        return version

    def promote(self, name: str, version: int) -> None:
        """Make a version the champion: 1 previous := the old champion; 2 champion := the version.

        Between the two steps both names are the old champion.
        Raises: UsageError when there is no such version.
        """
        self.path(name, version)
        old = self.champion(name)
        if old == version:
            return
        if old is not None:
            self._point(name, PREVIOUS, old)
        self._point(name, CHAMPION, version)

    def rollback(self, name: str) -> int:
        """Make the previous version the champion, and the champion the previous one; return the new champion.

        1 champion := previous; 2 previous := the old champion. Twice is where one was.
        Raises: UsageError when there is no previous version.
        """
        champion, previous = self.champion(name), self.previous(name)
        if champion is None or previous is None or previous == champion:
            listed = ", ".join(map(str, self.versions(name))) or "none"
            raise UsageError(
                f"{self._folder(name)}: there is no previous version to go back to; versions there: {listed}"
            )
        self._point(name, CHAMPION, previous)
        self._point(name, PREVIOUS, champion)
        return previous

    def prune(self, name: str, *, keep: int) -> tuple[int, ...]:
        """Delete all but the newest `keep` versions, the aliases' targets apart, and what killed writers left behind.

        Returns: the versions that were deleted. The lock must be held.
        """
        folder = self._folder(name)
        held = {self.champion(name), self.previous(name)}
        gone = tuple(version for version in self.versions(name)[: -keep or None] if version not in held)
        with _disk(folder, "prune"):
            for version in gone:
                self.path(name, version).unlink()
            for entry in folder.iterdir():
                if entry.name.startswith((_DRAFT, f".{_DRAFT}")):
                    entry.unlink(missing_ok=True)
        return gone

    @contextmanager
    def lock(self, name: str, holder: str) -> Iterator[None]:
        """Hold the model's lock for the block; `holder` says who does, for whoever finds it taken.

        The operating system takes it back when the process ends, however it ends.
        Raises: RegistryError at once, with the holder, when another has it.
        """
        folder = self._folder(name)
        with _disk(folder, "lock"):
            folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            try:
                with _disk(folder, "lock"):
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                other = os.pread(descriptor, 500, 0).decode("utf-8", "replace").strip() or "another process"
                raise RegistryError(f"{folder} is held by {other}; wait until it has ended") from None
            with _disk(folder, "lock"):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"{holder}\n".encode(), 0)
            yield
        finally:
            os.close(descriptor)

    def _folder(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise UsageError(
                "model name: expected letters, digits, '.', '_' and '-', at most 100 and no '.' or '-' first, "
                f"got {name!r}"
            )
        return self.root / name

    def _alias(self, name: str, alias: str) -> int | None:
        path = self._folder(name) / alias
        try:
            target = str(path.readlink())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise RegistryError(
                f"{path}: expected a symbolic link to a version, got something else ({error.strerror}); remove it"
            ) from error
        match = _VERSION.fullmatch(target)
        if match is None or not path.exists():
            raise RegistryError(
                f"{path}: expected a link to a version beside it, got one to {target!r}; "
                f"point it at one of {', '.join(map(str, self.versions(name))) or 'none'}"
            )
        return int(match[1])

    def _point(self, name: str, alias: str, version: int) -> None:
        """Let an alias point at a version, in one step and durably."""
        folder = self._folder(name)
        draft = folder / f"{_DRAFT}.{alias}.{os.getpid()}"
        with _disk(folder, f"point {alias} at {version}"):
            draft.unlink(missing_ok=True)
            draft.symlink_to(f"{version}.safetensors")
            draft.replace(folder / alias)
            _sync(folder)


def find(folder: str | Path, digest: str) -> Path | None:
    """Return the version's file in `folder` whose bundle claims this digest; None when there is none.

    Only the headers are read: loading the file proves the claim. What cannot be read is passed over.
    """
    for _, path in reversed(_version_files(Path(folder))):
        with suppress(OSError, SafetensorError, msgspec.DecodeError), safe_open(str(path), framework="numpy") as file:
            manifest = msgspec.json.decode((file.metadata() or {}).get("streamlstm", "{}"), type=_Claim)
            if manifest.digest == digest:
                return path
    return None


class _Claim(msgspec.Struct):
    """What is read of a manifest."""

    digest: str = ""


def _version_files(folder: Path) -> list[tuple[int, Path]]:
    """Return the versions in a folder with their files, oldest first."""
    if not folder.is_dir():
        return []
    found = ((match, entry) for entry in folder.iterdir() if (match := _VERSION.fullmatch(entry.name)))
    return sorted((int(match[1]), entry) for match, entry in found if not entry.is_symlink())


@contextmanager
def _disk(folder: Path, action: str) -> Iterator[None]:
    """Turn what the file system refuses into a sentence."""
    try:
        yield
    except BlockingIOError:
        raise
    except OSError as error:
        raise RegistryError(
            f"{folder}: could not {action}: {error.strerror} ({error.filename or 'no file named'}); "
            "what was published before is unchanged"
        ) from error


def _sync(path: Path) -> None:
    """Return when a file's content, or a folder's list of names, would outlast a loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
