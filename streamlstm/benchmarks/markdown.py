"""docs/benchmarks.md from the JSON of one or more runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from streamlstm.benchmarks.measurements import BenchResult, Measurement
from streamlstm.benchmarks.report import header_lines, summary_lines

__all__ = ["markdown_report"]

_OPENING = """\
# Benchmarks

`streamlstm bench report` writes this page; run `make bench` for the figures of your own machine.

## What these figures do not show

* **Other machines.** The figures are from the machines named below, mostly virtual ones with few cores that others use
  too. Rates vary by a tenth and more from run to run; ratios are paired within a run and are steadier, but their second
  digit is noise.
* **Peers with more threads.** In `kernel` everyone has one thread. Libraries that gain from many cores would gain for
  large batches; `threads` compares our own step with itself.
* **Large networks.** The shapes are those of telemetry models, up to 128 hidden units; nothing larger was measured.
* **Windows.** Peers are timed at what we do: one step from a carried state. A program that uses them to score a whole
  window again for each sample does as many times the work as the window has samples; these ratios do not show that.
* **Training to the end.** `train` times updates on one batch that is ready in memory. How many updates a model needs,
  how data is read and how good the model is are other questions.
* **A service.** `kernel` is arrays in, arrays out, without decoding, broker or calibration.
* **Graphics processors and lower precision.** Everything is float32 on the processor, except our column
  `bfloat16`.

## Method

All contestants run in one process, pinned to one processor, in rounds. In each round every contestant runs a slice, in
a newly drawn order, after a call that is not timed. A ratio is formed in each round, and its median over the rounds is
reported. The Python call is included. Each peer has the inputs ready in its own type, and keeps its outputs there:
arrays (streamlstm, NumPy), tensors (PyTorch), device arrays with a donated state (JAX), bound buffers (ONNX Runtime,
OpenVINO). Where a peer has several ways, the fastest one in a trial is used. Before a contestant is timed, its outputs
are compared with a float64 computation, to 1e-4. Our streams lie in random slots of an arena twice their number. The
columns `blas` and `bfloat16` are not peers: they are our own kernel with its products through BLAS, the reference path,
and with rounded products (checked to 0.02). A ratio below 1 says that bfloat16 is faster than our float32.

`step` is one sample of S streams through the network, a linear head with as many outputs as channels, and the mean
squared error by stream; `block` is T samples of S streams in one call, without the error. Shapes are (channels, hidden,
layers). The limit is the time of the products at the peak of the processor's fused multiply-adds, measured in the same
rounds, plus the cost of the gates by unit. It leaves out that a single stream reads the weights from the cache at each
step, and what the call from Python costs. A ratio says how many times as long the peer takes: above 1 we are faster.

`train` is one update of a network of LSTM, GRU or plain RNN layers: 64 lanes of 128 steps from zero state, the mean
squared error of a linear head against the next sample, backward through all steps, Adam. Ours calls the trainer's own
functions. PyTorch is eager with fused Adam. JAX is one compiled function with scans and donated weights. Keras, in a
run of its own, is one graph, with XLA or without, whichever is faster. The last two are timed with LSTMs only. Before
anything is timed, everyone's first four losses must agree to a thousandth, and our first with a float64 computation.
PyTorch's time depends on how its memory happens to be allocated, so everyone's best round is shown beside the medians.
The limit is the products alone: forward, the gradients of the weights, and the gradients of every layer's input except
the first's.
"""


def markdown_report(results: Sequence[BenchResult]) -> str:
    """Return the page: what it does not show, the method, then each run with its machine and date."""
    return "\n".join([_OPENING, *(line for result in results for line in _run(result))])


def _run(result: BenchResult) -> Iterator[str]:
    quick = ", a quick run" if result.method.is_quick else ""
    yield f"## {result.bench}: {result.machine.cpu}, {result.started_at[:10]}{quick}\n"
    yield "```"
    yield from header_lines(result)
    yield "```\n"
    names = list(dict.fromkeys(name for row in result.measurements for name in row.ratios))
    units = {row.unit for row in result.measurements}
    yield _cells(["", units.copy().pop() if len(units) == 1 else "", "of the limit", *names])
    yield _cells(["---", *["---:"] * (2 + len(names))])
    for row in result.measurements:
        value = _figure(row.value) if len(units) == 1 else f"{_figure(row.value)} {row.unit}"
        yield _cells([row.title, value, _share(row), *(_ratio(row, name) for name in names)])
    yield ""
    if summary := summary_lines(result):
        yield from (f"* {line}" for line in summary)
        yield ""


def _cells(values: Sequence[str]) -> str:
    return f"| {' | '.join(values)} |"


def _figure(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def _share(row: Measurement) -> str:
    return "" if row.share_of_limit is None else f"{row.share_of_limit:.0%}"


def _ratio(row: Measurement, name: str) -> str:
    if name not in row.ratios:
        return "-"
    figure = f"{_figure(row.ratios[name])}x"
    return f"**{figure}**" if name == row.best_peer else figure
