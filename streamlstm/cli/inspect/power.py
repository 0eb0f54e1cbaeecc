"""What a model finds of injected faults, in lines: a table of kinds and sizes, sentences, a row for each channel."""

from __future__ import annotations

from streamlstm.cli.console.output import print_result
from streamlstm.evaluation.power.power import Power, PowerCell
from streamlstm.evaluation.power.sentences import FOUND_SHARE, least_found, power_sentences, span_of
from streamlstm.model.bundles.causal import ModelBundle

__all__ = ["print_power"]

_NAME, _CELL = 13, 22


def print_power(model: ModelBundle) -> None:
    """Print the power of a causal model."""
    power, period_s = Power.of(model.training), model.period_s
    if power is None:
        print_result("power       not measured")
        return
    print_result(
        f"power       faults injected at {power.quiet} places of the calibration part, followed for "
        f"{span_of(power.followed_rows, period_s)}, at the default budget: share found, median delay"
    )
    if power.quiet < power.places:
        print_result(
            f"            {power.places - power.quiet} more places are left out: an alert opens there without one"
        )
    for kind in power.kinds:
        cells = "".join(f"{_cell(cell, period_s):<{_CELL}}" for cell in power.of_kind(kind))
        print_result(f"  {kind:<{_NAME}}{cells}".rstrip())
    for sentence in power_sentences(power, period_s=period_s):
        print_result(f"  {sentence}")
    if any(cell.total.found for cell in power.cells):
        print_result(f"  the alert names the faulty channel first in {power.named_share:.0%} of what is found")
    if power.cells and power.cells[0].channels:
        _print_channels(power, model)


def _cell(cell: PowerCell, period_s: float) -> str:
    """Return size, share and delay, such as "2: 96 % 2 s"."""
    size = f"{cell.label}: " if cell.label else ""
    if not cell.total.cases:
        return f"{size}no case"
    delay = "" if cell.total.delay_rows is None else f" {span_of(cell.total.delay_rows, period_s)}"
    return f"{size}{cell.total.share:.0%}{delay}"


def _print_channels(power: Power, model: ModelBundle) -> None:
    """Print the least size that is found in each channel, and the delay."""
    print_result(f"  least size found in {FOUND_SHARE:.0%} of cases, and the median delay; '-' where none is")
    print_result(
        f"  {'channel':<18} {'usual deviation':<18}" + "".join(f" {kind:<12}" for kind in power.kinds).rstrip()
    )
    units = model.units or ("",) * len(model.channels)
    for c, (name, unit) in enumerate(zip(model.channels, units, strict=True)):
        deviation = f"{float(model.standardizer.scale[c]):.3g} {unit}".rstrip()
        shown = []
        for kind in power.kinds:
            least = least_found(power.of_kind(kind), c)
            delay = None if least is None else least.channels[c].delay_rows
            shown.append(
                "-" if least is None or delay is None else f"{least.label or 'yes'} {span_of(delay, model.period_s)}"
            )
        print_result(f"  {name:<18} {deviation:<18}" + "".join(f" {text:<12}" for text in shown).rstrip())
