"""Laws of partitions, under random interleavings of what can happen to them; and what a partition refuses.

A worker runs on a log in memory whose script assigns, revokes and loses partitions, hands over records, publishes
models, lets calls fail before, between and after what they do, and kills. A new worker follows each that dies. In
the end the outputs, with repeats dropped by their position, are those of a run that was never interrupted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from service.scripted_log import Died, Fates, HashProcessor, Log, ScriptedStore, ScriptedTransport, Step

from streamlstm.errors import ProtocolError
from streamlstm.service import worker as worker_module
from streamlstm.service.partition import Partition, Phase, StartingPoint
from streamlstm.service.worker import Worker, WorkerOptions
from streamlstm.types import Output, Record, TopicPartition

NEVER_MS = 3_600_000
NAME = TopicPartition("in", 0)


@pytest.fixture(scope="module", autouse=True)
def _no_pauses() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker_module, "_FIRST_PAUSE_S", 0.0)
        yield


def _records(name: TopicPartition, gaps: list[int]) -> list[Record]:
    """Offsets rise, and some are left out, as after a transaction or a compaction."""
    offsets, offset = [], 0
    for gap in gaps:
        offsets.append(offset + gap)
        offset += gap + 1
    return [Record(*name, at, None, b"%d/%d" % (name.partition, at)) for at in offsets]


def _mostly_well(*fates: str) -> st.SearchStrategy[list[str]]:
    return st.lists(st.one_of(st.just("well"), st.sampled_from(fates)), max_size=12)


STEPS = st.builds(
    Step,
    st.sampled_from(["read", "read", "read", "fail", "revoke", "lose", "publish a model", "die"]),
    st.frozensets(st.integers(0, 1), min_size=1),
    st.integers(1, 6),
)
MOMENTS = ("before", "between", "after")


@settings(max_examples=400)
@given(
    gaps=st.lists(st.lists(st.sampled_from([0, 0, 0, 1, 3]), max_size=25), min_size=2, max_size=2),
    steps=st.lists(STEPS, max_size=14),
    commits=_mostly_well(*(f"{fate} {moment}" for fate in ("dies", "fails", "fenced") for moment in MOMENTS)),
    saves=_mostly_well("dies before", "dies after", "fails before", "fails after"),
    loads=_mostly_well("fails before", "dies before"),
    batches=_mostly_well("dies half-way"),
    intervals=st.tuples(st.sampled_from([0, NEVER_MS]), st.sampled_from([0, NEVER_MS])),
)
def test_outputs_equal_those_of_an_unbroken_run(
    gaps: list[list[int]],
    steps: list[Step],
    commits: list[str],
    saves: list[str],
    loads: list[str],
    batches: list[str],
    intervals: tuple[int, int],
) -> None:
    names = [TopicPartition("in", number) for number in range(len(gaps))]
    records = {name: _records(name, its_gaps) for name, its_gaps in zip(names, gaps, strict=True)}
    log = Log(records, Fates(iter(steps), iter(commits), iter(saves), iter(loads), iter(batches)))
    while not _run(log, WorkerOptions(*intervals)):
        pass
    expected = {output.key: output.value for name in names for output in _unbroken(log, name)}
    assert log.published == expected
    assert log.committed == {name: log.end(name) for name in names if records[name]}
    assert all(log.newest_model in log.switched[name] for name in names)


def _run(log: Log, options: WorkerOptions) -> bool:
    """Run a worker until everything is read and every model is the newest; False when it dies."""
    made: dict[TopicPartition, HashProcessor] = {}

    def make(name: TopicPartition) -> HashProcessor:
        made[name] = HashProcessor(lambda: log.newest_model, log.fates)
        return made[name]

    worker = Worker(ScriptedTransport(log), ScriptedStore(log), make, options)

    def should_stop() -> bool:
        lags = worker.lag()
        is_read = lags.keys() == log.records.keys() and not any(lags.values())
        is_over = next(log.fates.poll, None)
        if is_over is not None:
            log.fates.poll = _chain(is_over, log.fates.poll)
        return is_over is None and is_read and not any(processor.is_outdated for processor in made.values())

    try:
        worker.run(should_stop)
    except Died:
        return False
    # A stop whose commit failed is logged only; the next worker repeats what was not committed.
    return all(log.committed.get(name, 0) == log.end(name) for name in log.records)


def _chain(first: Step, rest: Iterator[Step]) -> Iterator[Step]:
    yield first
    yield from rest


def _unbroken(log: Log, name: TopicPartition) -> list[Output]:
    """Outputs of one processor that switched models at the offsets at which snapshots began to name them."""
    model = 1
    processor = HashProcessor(lambda: model)
    outputs: list[Output] = []
    for record in log.records[name]:
        model = max(number for number, offset in log.switched[name].items() if offset <= record.offset)
        processor.switch_models()
        outputs.extend(processor.process([record]).outputs)
    return outputs


def _partition(phase: Phase) -> Partition:
    """A partition at offset 10, in one phase of its life."""
    partition = Partition(NAME)
    if phase is not Phase.CREATED:
        committed = 13 if phase is Phase.RESTORING else 10
        partition.restore(HashProcessor(), StartingPoint(10, committed, saved=10, switch_from=10))
    if phase is Phase.CLOSED:
        partition.close_clean()
    assert partition.phase is phase
    return partition


def _record(offset: int) -> Record:
    return Record(*NAME, offset, None, b"%d" % offset)


ALLOWED: dict[str, tuple[Callable[[Partition], object], set[Phase]]] = {
    "restore": (lambda p: p.restore(HashProcessor(), StartingPoint(0, 0, saved=None, switch_from=0)), {Phase.CREATED}),
    "process": (lambda p: p.process([_record(10)]), {Phase.RESTORING, Phase.RUNNING}),
    "note_commit": (lambda p: p.note_commit(), {Phase.RUNNING}),
    "snapshot": (lambda p: p.snapshot(), {Phase.RUNNING}),
    "note_snapshot": (lambda p: p.note_snapshot(), {Phase.RUNNING}),
    "switch_models": (lambda p: p.switch_models(), {Phase.RUNNING}),
    "close_clean": (lambda p: p.close_clean(), {Phase.CREATED, Phase.RESTORING, Phase.RUNNING}),
    "close_dirty": (lambda p: p.close_dirty(), set(Phase)),
}


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("step", ALLOWED)
def test_a_step_is_carried_out_only_in_the_phases_it_belongs_to(step: str, phase: Phase) -> None:
    call, allowed = ALLOWED[step]
    partition = _partition(phase)
    if phase in allowed:
        call(partition)
    else:
        with pytest.raises(ProtocolError, match=rf"in-0: .*{phase.value}"):
            call(partition)
        assert partition.phase is phase


@pytest.mark.parametrize(
    ("offsets", "named"), [([9], 9), ([10, 10], 10), ([12, 11], 11), ([10, 11, 13, 12], 12), ([0], 0)]
)
@pytest.mark.parametrize("phase", [Phase.RESTORING, Phase.RUNNING])
def test_offsets_must_rise(phase: Phase, offsets: list[int], named: int) -> None:
    partition = _partition(phase)
    with pytest.raises(ProtocolError, match=rf"^in-0: expected a record at offset \d+ or later, got offset {named}:"):
        partition.process([_record(offset) for offset in offsets])
    assert (partition.processed, partition.outputs, partition.phase) == (10, [], phase)


def test_nothing_is_saved_switched_or_closed_clean_at_an_offset_that_is_not_committed() -> None:
    partition = _partition(Phase.RUNNING)
    assert not partition.is_uncommitted and not partition.is_unsaved
    partition.process([_record(10), _record(12)])
    assert partition.is_uncommitted and not partition.is_unsaved
    for step in (partition.snapshot, partition.switch_models, partition.close_clean):
        with pytest.raises(ProtocolError, match=r"13.*10"):
            step()
    partition.note_commit()
    assert not partition.is_uncommitted and partition.is_unsaved and not partition.outputs
    assert partition.snapshot().offset == 13
    partition.note_snapshot()
    assert not partition.is_unsaved
    partition.close_clean()


def test_what_was_committed_before_is_processed_and_not_published() -> None:
    partition = _partition(Phase.RESTORING)
    assert not partition.process([_record(10), _record(11)])
    assert (partition.phase, partition.processed, partition.outputs) == (Phase.RESTORING, 12, [])
    whole = _partition(Phase.RUNNING)
    whole.process([_record(offset) for offset in range(10, 20)])
    partition.process([_record(offset) for offset in range(12, 20)])
    assert partition.phase is Phase.RUNNING
    fresh = [output for output in whole.outputs if output.key and int(output.key.split(b"@")[1]) >= 13]
    assert fresh and partition.outputs == fresh


@pytest.mark.parametrize(
    ("offsets", "phase", "is_uncommitted"),
    [
        ([10, 11], Phase.RESTORING, False),
        ([10, 11, 12], Phase.RUNNING, False),
        ([12], Phase.RUNNING, False),
        ([10, 12, 13], Phase.RUNNING, True),
        ([10, 15], Phase.RUNNING, True),  # offsets in between are missing, as after a compaction
        ([15], Phase.RUNNING, True),
    ],
)
def test_a_partition_is_running_once_what_was_committed_is_replayed(
    offsets: list[int], phase: Phase, is_uncommitted: bool
) -> None:
    partition = _partition(Phase.RESTORING)
    partition.process([_record(offset) for offset in offsets])
    assert (partition.phase, partition.is_uncommitted) == (phase, is_uncommitted)


def test_a_partition_whose_batch_was_not_finished_is_closed_and_keeps_no_output() -> None:
    partition = Partition(NAME)
    fates = Fates(iter(()), iter(()), iter(()), iter(()), iter(["well", "dies half-way"]))
    partition.restore(HashProcessor(fates=fates), StartingPoint(0, 0, saved=0, switch_from=0))
    partition.process([_record(offset) for offset in range(5)])
    assert partition.outputs
    with pytest.raises(Died):
        partition.process([_record(offset) for offset in range(5, 9)])
    assert partition.phase is Phase.CLOSED and not partition.outputs and not partition.is_uncommitted


def test_a_state_that_was_never_saved_waits_for_its_commit_too() -> None:
    partition = Partition(NAME)
    partition.restore(HashProcessor(), StartingPoint(10, 10, saved=None, switch_from=10))
    assert partition.is_unsaved
    partition.process([_record(10)])
    assert not partition.is_unsaved


@pytest.mark.parametrize(("start", "phase"), [(9, Phase.RESTORING), (10, Phase.RUNNING), (15, Phase.RUNNING)])
def test_a_partition_is_restoring_as_long_as_its_state_lies_before_the_committed_offset(
    start: int, phase: Phase
) -> None:
    partition = Partition(NAME)
    partition.restore(HashProcessor(), StartingPoint(start, 10, saved=9, switch_from=30))
    assert partition.phase is phase
    assert partition.is_uncommitted == (start > 10)  # past retention: the group goes on from there
    partition.process([_record(offset) for offset in range(start, start + 20)])
    positions = [int(output.key.split(b"@")[1]) for output in partition.outputs if output.key]
    assert positions and min(positions) >= max(start, 10)


def test_a_batch_that_must_be_committed_is_committed_before_the_next_poll() -> None:
    records = _records(NAME, [0] * 60)
    fates = Fates(iter([Step("read", frozenset([0]), 1)] * 60), iter(()), iter(()), iter(()), iter(()))
    log = Log({NAME: records}, fates)
    assert _run(log, WorkerOptions(NEVER_MS, NEVER_MS))
    alone = HashProcessor()
    urgent = [record.offset + 1 for record in records if alone.process([record]).must_commit]
    assert len(urgent) > 3
    assert [commit[NAME] for commit in log.commits] == sorted({*urgent, 60})


def test_a_worker_that_dies_commits_and_saves_nothing_for_its_other_partitions_either() -> None:
    names = [TopicPartition("in", number) for number in range(2)]
    steps = [Step("read", frozenset([0, 1]), 5)] * 2
    fates = Fates(iter(steps), iter(()), iter(()), iter(()), iter(["well", "dies half-way"]))
    log = Log({name: _records(name, [0] * 5) for name in names}, fates)
    assert not _run(log, WorkerOptions(NEVER_MS, NEVER_MS))
    assert not log.commits
    assert {name: snapshot.offset for name, snapshot in log.snapshots.items()} == dict.fromkeys(names, 0)
