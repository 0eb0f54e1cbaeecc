"""Where a partition begins, by what the group has committed, what was saved and what the log still holds."""

from __future__ import annotations

import logging

import msgspec
import pytest
from service.scripted_log import Fates, HashProcessor, Log, ScriptedStore, ScriptedTransport, State

from streamlstm.errors import SnapshotError
from streamlstm.ports import Snapshot
from streamlstm.service.commit_protocol import CommitProtocol
from streamlstm.service.partition import Partition, Phase
from streamlstm.types import Record, TopicPartition

NAME = TopicPartition("in", 0)
END = 10


def _log(saved: int | None, committed: int | None, oldest: int) -> Log:
    records = [Record(*NAME, offset, None, b"%d" % offset) for offset in range(END)]
    log = Log({NAME: records}, Fates(iter(()), iter(()), iter(()), iter(()), iter(())), oldest=oldest)
    if committed is not None:
        log.committed[NAME] = committed
    if saved is not None:
        log.snapshots[NAME] = Snapshot(saved, msgspec.json.encode(State("saved", saved)))
    return log


def _restore(log: Log) -> tuple[Partition, HashProcessor]:
    partition, processor = Partition(NAME), HashProcessor(lambda: log.newest_model)
    CommitProtocol(ScriptedTransport(log, held=[NAME]), ScriptedStore(log)).restore(partition, lambda: processor)
    return partition, processor


@pytest.mark.parametrize(
    ("saved", "committed", "oldest", "start", "warned"),
    [
        (3, 7, 0, 3, []),
        (3, 7, 3, 3, []),
        (7, 7, 0, 7, []),
        (3, 7, 4, 4, ["in-0: offsets 3 to 3 are past retention"]),
        (3, 7, 9, 9, ["in-0: offsets 3 to 8 are past retention"]),
        (None, 7, 0, 7, ["in-0: no snapshot; streams warm up again from offset 7"]),
        (8, 7, 0, 7, ["in-0: the snapshot (offset 8) is ahead of the group; streams warm up again from offset 7"]),
        (None, 7, 9, 9, ["no snapshot; streams warm up again from offset 9", "offsets 7 to 8 are past retention"]),
    ],
)
def test_a_partition_begins_at_the_newest_state_that_is_not_ahead_of_the_group(
    saved: int | None,
    committed: int,
    oldest: int,
    start: int,
    warned: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = _log(saved, committed, oldest)
    with caplog.at_level(logging.WARNING):
        partition, processor = _restore(log)
    assert [call for call in log.calls if call.startswith("seek")] == [f"seek in-0@{start}"]
    assert (partition.processed, partition.committed) == (start, committed)
    assert partition.phase is (Phase.RESTORING if start < committed else Phase.RUNNING)
    assert processor.state == (State("saved", saved) if saved and saved <= committed else State())
    assert len(caplog.messages) == len(warned)
    assert all(part in message for part, message in zip(warned, caplog.messages, strict=True))
    # Where there was no state that fits, this one is as unsaved as any.
    assert partition.is_unsaved == (saved != committed and start == committed)


class _AnyStore(ScriptedStore):
    """Takes states that have seen other records than the log holds."""

    def save(self, partition: TopicPartition, snapshot: Snapshot) -> None:
        self._log.snapshots[partition] = snapshot


@pytest.mark.parametrize("saved", [None, 3, 12, 15, 20])
def test_in_a_log_that_was_cut_short_whatever_comes_is_new(saved: int | None, caplog: pytest.LogCaptureFixture) -> None:
    log = _log(saved, 15, 0)
    partition, processor = Partition(NAME), HashProcessor()
    with caplog.at_level(logging.WARNING):
        CommitProtocol(ScriptedTransport(log, held=[NAME]), _AnyStore(log)).restore(partition, lambda: processor)
    assert caplog.messages == [
        "in-0: the group has committed offset 15, and the log ends at 10: it was cut short or created again; "
        "records before offset 10 are taken as processed, those from there on as new"
    ]
    assert (partition.phase, partition.processed, partition.committed) == (Phase.RUNNING, END, END)
    state = State("saved", saved) if saved else State()
    assert processor.state == state
    # Before the log grows past what was committed; else these records were taken for those of before.
    assert log.committed[NAME] == log.snapshots[NAME].offset == END
    assert msgspec.json.decode(log.snapshots[NAME].payload, type=State) == state
    log.records[NAME] += [Record(*NAME, offset, None, b"%d" % offset) for offset in range(END, 20)]
    partition.process(log.records[NAME][END:])
    expected = HashProcessor()
    expected.state = state
    assert partition.outputs == expected.process(log.records[NAME][END:]).outputs


@pytest.mark.parametrize(("saved", "is_saved"), [(None, True), (5, True), (0, False)])
def test_a_group_that_never_committed_has_a_snapshot_from_its_start_on(saved: int | None, is_saved: bool) -> None:
    log = _log(saved, None, 0)
    partition, processor = _restore(log)
    assert log.calls == ["committed in-0", *(["save in-0@0"] if is_saved else []), "seek in-0@0"]
    assert processor.state == (State() if is_saved else State("saved", 0))
    assert log.snapshots[NAME] == Snapshot(0, processor.export_state())
    assert (partition.phase, partition.is_unsaved) == (Phase.RUNNING, False)


@pytest.mark.parametrize(
    ("saved", "committed", "keeps_until"), [(3, 7, END), (None, 7, END), (0, None, END), (None, None, 0)]
)
def test_what_another_worker_may_have_published_is_repeated_under_the_old_model(
    saved: int | None, committed: int | None, keeps_until: int
) -> None:
    log = _log(saved, committed, 0)
    partition, _ = _restore(log)
    log.newest_model = 2
    switches_at = []
    for record in log.records[NAME][partition.processed :]:
        if partition.wants_new_models:
            switches_at.append(partition.processed)
        partition.process([record])
    if partition.wants_new_models:
        switches_at.append(partition.processed)
    assert switches_at == list(range(keeps_until, END + 1))


class _DamagedStore(ScriptedStore):
    """Has a snapshot that is not whole."""

    def load(self, partition: TopicPartition) -> Snapshot | None:
        raise SnapshotError("expected a whole snapshot of in-0")


class _StrangeProcessor(HashProcessor):
    """Refuses every state, half-way."""

    def import_state(self, payload: bytes) -> None:
        self.state.seen = 999
        raise SnapshotError("expected a whole state")


@pytest.mark.parametrize("is_stored", [True, False])
def test_a_damaged_state_is_refused_or_left_behind_as_the_configuration_says(
    is_stored: bool, caplog: pytest.LogCaptureFixture
) -> None:
    log = _log(7, 7, 0)
    store, make = (ScriptedStore(log), _StrangeProcessor) if is_stored else (_DamagedStore(log), HashProcessor)
    with pytest.raises(SnapshotError, match=r"in-0: the state cannot be restored: expected a whole .*on_damaged_state"):
        CommitProtocol(ScriptedTransport(log, held=[NAME]), store).restore(Partition(NAME), make)
    partition, made = Partition(NAME), list[HashProcessor]()

    def make_and_keep() -> HashProcessor:
        made.append(make())
        return made[-1]

    with caplog.at_level(logging.WARNING):
        protocol = CommitProtocol(ScriptedTransport(log, held=[NAME]), store, may_start_cold=True)
        protocol.restore(partition, make_and_keep)
    assert made[-1].state == State() and partition.processed == partition.committed == 7
    assert partition.is_unsaved  # the next save is a whole one
    assert caplog.messages[0].startswith("in-0: the state cannot be restored and is left behind: expected a whole")
    assert caplog.messages[1] == "in-0: no snapshot; streams warm up again from offset 7"
