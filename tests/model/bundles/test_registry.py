"""The registry of models: versions, aliases, and what is left when a writer is killed at any step."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import PATIENCE_S

import streamlstm
from streamlstm.errors import RegistryError, UsageError
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.model.bundles.registry import Registry, find

PACKAGE_PARENT = Path(streamlstm.__file__).parents[1]


@pytest.fixture
def registry(tmp_path: Path, tiny_bundle: ModelBundle) -> Registry:
    """Versions 1 to 3 of `pumps`: 2 is the champion, 1 the previous one, 3 not in use."""
    made = Registry(tmp_path / "models")
    for period_s in (1.5, 2.5, 3.5):
        made.publish("pumps", dataclasses.replace(tiny_bundle, period_s=period_s))
    made.promote("pumps", 1)
    made.promote("pumps", 2)
    return made


def champion(registry: Registry) -> ModelBundle:
    """Load what a worker loads."""
    return ModelBundle.load(registry.root / "pumps" / "champion")


def test_versions_carry_name_and_number(registry: Registry) -> None:
    assert (registry.names(), registry.versions("pumps")) == (("pumps",), (1, 2, 3))
    assert (registry.champion("pumps"), registry.previous("pumps")) == (2, 1)
    assert (champion(registry).label, champion(registry).period_s) == ("pumps@2", 2.5)
    assert str((registry.root / "pumps" / "champion").readlink()) == "2.safetensors"
    assert ModelBundle.load(registry.path("pumps", 3)).label == "pumps@3"
    assert sorted(p.name for p in (registry.root / "pumps").iterdir()) == sorted(
        ["1.safetensors", "2.safetensors", "3.safetensors", "champion", "previous"]
    )


def test_an_empty_registry_has_nothing(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "none")
    assert (registry.names(), registry.versions("pumps")) == ((), ())
    assert registry.champion("pumps") is registry.previous("pumps") is None
    with pytest.raises(UsageError, match="there is no version 1; versions there: none"):
        registry.promote("pumps", 1)
    with pytest.raises(UsageError, match="no previous version to go back to; versions there: none"):
        registry.rollback("pumps")
    assert not registry.root.exists()


def test_rollback_twice_is_where_one_was(registry: Registry) -> None:
    registry.promote("pumps", 3)
    assert (registry.champion("pumps"), registry.previous("pumps")) == (3, 2)
    assert registry.rollback("pumps") == 2
    assert (champion(registry).label, registry.previous("pumps")) == ("pumps@2", 3)
    assert registry.rollback("pumps") == 3
    assert (registry.champion("pumps"), registry.previous("pumps")) == (3, 2)


def test_promoting_the_champion_keeps_the_previous_one(registry: Registry) -> None:
    registry.promote("pumps", 2)
    assert (registry.champion("pumps"), registry.previous("pumps")) == (2, 1)


@pytest.mark.parametrize("name", ["", ".hidden", "..", "a/b", "/abs", "-dash", "a\nb", "ward 3", "x" * 101])
def test_names_stay_inside_the_root(registry: Registry, name: str) -> None:
    with pytest.raises(UsageError, match="model name: expected letters"):
        registry.versions(name)


def test_aliases_that_are_none_are_refused(registry: Registry) -> None:
    alias = registry.root / "pumps" / "champion"
    alias.unlink()
    alias.symlink_to("9.safetensors")
    with pytest.raises(RegistryError, match=r"expected a link to a version beside it, got one to '9.safetensors'"):
        registry.champion("pumps")
    alias.unlink()
    alias.write_bytes(registry.path("pumps", 1).read_bytes())
    with pytest.raises(RegistryError, match="expected a symbolic link to a version, got something else"):
        registry.champion("pumps")


def test_find_knows_a_version_by_its_digest(registry: Registry, tiny_bundle: ModelBundle) -> None:
    folder = registry.root / "pumps"
    digest = champion(registry).digest
    (folder / "4.safetensors").write_bytes(b"not a bundle")
    assert find(folder, digest) == folder / "2.safetensors"
    assert find(folder, tiny_bundle.digest) is None
    assert find(folder / "absent", digest) is None


def test_prune_keeps_what_is_in_use(registry: Registry, tiny_bundle: ModelBundle) -> None:
    for _ in range(2):
        registry.publish("pumps", tiny_bundle)
    folder = registry.root / "pumps"
    (folder / "..draft.77.12.tmp").write_bytes(b"left by a writer that was killed")
    (folder / ".draft.champion.77").symlink_to("3.safetensors")
    assert registry.prune("pumps", keep=10) == ()
    assert registry.prune("pumps", keep=1) == (3, 4)
    assert registry.versions("pumps") == (1, 2, 5)
    assert not list(folder.glob(".*draft*"))
    assert registry.publish("pumps", tiny_bundle) == 6


def test_a_full_or_closed_disk_is_told_of(registry: Registry, tiny_bundle: ModelBundle, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(RegistryError, match=r"file/pumps: could not publish: Not a directory"):
        Registry(tmp_path / "file").publish("pumps", tiny_bundle)


def test_the_second_is_told_who_holds_the_lock(registry: Registry) -> None:
    with registry.lock("pumps", "retrain, process 4711 on east"):
        held = pytest.raises(RegistryError, match=r"pumps is held by retrain, process 4711 on east; wait until")
        with held, registry.lock("pumps", "me"):
            pytest.fail("two hold one lock")
        with registry.lock("others", "me"):
            pass
    with registry.lock("pumps", "me"):
        pass


HOLDER = """
import sys, time
from streamlstm.model.bundles.registry import Registry
with Registry(sys.argv[1]).lock("pumps", "a process that will be killed"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_lock_of_a_killed_process_is_free(registry: Registry, tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(registry.root)],
        stdout=subprocess.PIPE,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(PACKAGE_PARENT)},
    )
    try:
        assert child.stdout is not None and child.stdout.readline() == b"held\n"
        held = pytest.raises(RegistryError, match="held by a process that will be killed")
        with held, registry.lock("pumps", "me"):
            pytest.fail("two hold one lock")
    finally:
        child.send_signal(signal.SIGKILL)
        child.communicate()
    with registry.lock("pumps", "me"):
        pass


# Forks once for every step: the child kills itself before its n-th change of the file system.
KILLED_AT_EACH_STEP = """
import json, os, shutil, signal, sys
from pathlib import Path
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.model.bundles.registry import Registry

root, action, countdown = Path(sys.argv[1]), sys.argv[2], [0]
registry = Registry(root)
registry.promote("pumps", 2)
bundle = ModelBundle.load(registry.path("pumps", 1))
CHANGES = {"open", "os.link", "os.symlink", "os.rename", "os.remove", "os.mkdir", "os.truncate"}

def on_event(event, arguments):
    if countdown[0] > 0 and event in CHANGES:
        countdown[0] -= 1
        if countdown[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

ACTIONS = {
    "publish": lambda r: r.publish("pumps", bundle),
    "promote": lambda r: r.promote("pumps", 3),
    "rollback": lambda r: r.rollback("pumps"),
}
sys.addaudithook(on_event)
for step in range(1, 100):
    copy = root.with_name(f"{action}{step}")
    shutil.copytree(root, copy, symlinks=True)
    child = os.fork()
    if child == 0:
        countdown[0] = step
        ACTIONS[action](Registry(copy))
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    after = Registry(copy)
    seen = [after.versions("pumps"), after.champion("pumps"), after.previous("pumps")]
    for version in after.versions("pumps"):
        ModelBundle.load(after.path("pumps", version))
    after.publish("pumps", bundle)
    after.prune("pumps", keep=10)
    debris = [p.name for p in (copy / "pumps").iterdir() if p.name.startswith(".")]
    print(json.dumps({"killed": os.WIFSIGNALED(status), "seen": seen, "debris": debris}), flush=True)
    if status == 0:
        break
"""

OLD = [[1, 2, 3], 2, 1]
ALLOWED = {
    "publish": [OLD, [[1, 2, 3, 4], 2, 1]],
    "promote": [OLD, [[1, 2, 3], 2, 2], [[1, 2, 3], 3, 2]],
    "rollback": [OLD, [[1, 2, 3], 1, 1], [[1, 2, 3], 1, 2]],
}


@pytest.mark.parametrize("action", list(ALLOWED))
def test_killed_at_every_step_it_is_sound(registry: Registry, tmp_path: Path, action: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED_AT_EACH_STEP, str(registry.root), action],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(PACKAGE_PARENT)},
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    steps = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(steps) >= 4 and all(step["killed"] for step in steps[:-1]) and not steps[-1]["killed"]
    assert all(step["seen"] in ALLOWED[action] for step in steps), steps
    assert (steps[0]["seen"], steps[-1]["seen"]) == (OLD, ALLOWED[action][-1])
    assert not any(step["debris"] for step in steps)
