"""Work shared out among processes: results, what is worked on, and what ends them."""

from __future__ import annotations

from multiprocessing import active_children
from pathlib import Path

import pytest
from jobs.evaluation.works import die, refuse, square, wait_for
from waiting import wait_until

from streamlstm.errors import DataError, StreamLstmError
from streamlstm.jobs.evaluation.processes import in_processes


def test_every_result_comes_once() -> None:
    found = in_processes(square, range(20), processes=2, on_wait=lambda _: None)
    assert sorted(found) == [number * number for number in range(20)]
    assert not active_children()


def test_what_is_worked_on_is_told_while_it_lasts(tmp_path: Path) -> None:
    files = [tmp_path / name for name in "abc"]
    for file in files:
        file.touch()
    told: list[list[Path]] = []

    def on_wait(running: object) -> None:
        told.append(list(running))  # type: ignore[call-overload]  # any sequence
        if all(file.with_suffix(".begun").exists() for file in files[:2]):
            for file in files:
                file.unlink(missing_ok=True)

    assert len(list(in_processes(wait_for, files, processes=2, on_wait=on_wait))) == 3
    assert told[0] == files[:2] and told[-1] == []


def test_an_error_of_the_function_ends_the_processes() -> None:
    with pytest.raises(DataError, match="two"):
        list(in_processes(refuse, range(20), processes=2, on_wait=lambda _: None))
    wait_until(lambda: not active_children())


def test_a_caller_that_stops_ends_what_still_works(tmp_path: Path) -> None:
    (tmp_path / "a").touch()

    def interrupt(_running: object) -> None:
        if (tmp_path / "a.begun").exists():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(in_processes(wait_for, [tmp_path / "a"], processes=1, on_wait=interrupt))
    wait_until(lambda: not active_children())
    assert (tmp_path / "a").exists()


def test_a_process_that_is_killed() -> None:
    with pytest.raises(StreamLstmError, match=r"ended from outside, perhaps for want of memory; use fewer --jobs"):
        list(in_processes(die, range(3), processes=1, on_wait=lambda _: None))
    wait_until(lambda: not active_children())
