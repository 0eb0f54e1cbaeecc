"""The evaluation: every case under every seed, in this process or in several."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Protocol

from streamlstm.jobs.evaluation.options import EvaluationOptions
from streamlstm.jobs.evaluation.outcome import CaseOutcome, Evaluation
from streamlstm.jobs.evaluation.processes import in_processes
from streamlstm.jobs.evaluation.work import Work, evaluate_case

__all__ = ["EvaluationJob", "EvaluationObserver"]

_TRAINING_BYTES = 1_000_000
"""A training takes as long as the scoring and judging of about so much data."""


class EvaluationObserver(Protocol):
    """Told of an evaluation, in the process that asked for it."""

    def progress(self, done: int, of: int, *, share: float, detail: str) -> None:
        """Take how many cases are done, every second or more often; `share` is that of all the work, by size."""

    def note(self, sentence: str) -> None:
        """Take a sentence about what was found on the way."""


class EvaluationJob:
    """One evaluation. `evaluation` holds what is done, also when it was interrupted."""

    def __init__(self, options: EvaluationOptions, observer: EvaluationObserver) -> None:
        seeds = range(1, options.seeds + 1)
        self._works = [Work(case, seed, options.against, options.out) for seed in seeds for case in options.cases]
        self._processes = min(options.jobs, len(self._works))
        self._observer = observer
        self._costs = {(work.case.name, work.seed): work.case.size_bytes + _TRAINING_BYTES for work in self._works}
        self._reached = 0
        self.evaluation = Evaluation(of=len(self._works))

    def run(self) -> None:
        """Evaluate everything.

        Raises: StreamLstmError when a process dies or a disk refuses; KeyboardInterrupt.
        """
        said = set[str]()
        for outcome in self._in_this_process() if self._processes == 1 else self._in_several():
            self.evaluation.outcomes.append(outcome)
            self._reached += self._costs[outcome.case, outcome.seed]
            for sentence in outcome.notes:
                if sentence not in said:
                    said.add(sentence)
                    self._observer.note(sentence)
            if outcome.failure is not None:
                self._observer.note(f"{outcome.case} is left out: {outcome.failure}")

    def _in_this_process(self) -> Iterator[CaseOutcome]:
        for work in self._works:
            yield evaluate_case(work, partial(self._tell, work.case.name))

    def _in_several(self) -> Iterator[CaseOutcome]:
        def on_wait(running: Sequence[Work]) -> None:
            self._tell(*(work.case.name for work in running))

        # The longest first, so that no process is left with one when the others have nothing more to do.
        works = sorted(self._works, key=lambda work: -work.case.size_bytes)
        yield from in_processes(evaluate_case, works, processes=self._processes, on_wait=on_wait)

    def _tell(self, *details: str) -> None:
        done, share = len(self.evaluation.outcomes), self._reached / sum(self._costs.values())
        self._observer.progress(done, self.evaluation.of, share=share, detail=", ".join(details))
