"""What a causal training is told apart by, and what dropout leaves in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from streamlstm.model.network import Network
from streamlstm.training.causal.trainable import CausalTraining, causal_architecture
from streamlstm.training.options import TrainerOptions
from streamlstm.training.parameters import initial_parameters, to_network
from streamlstm.training.segments import Segment

RNG = np.random.default_rng(5)
PART = Segment(RNG.normal(0.3, 1, (90, 2)).astype(np.float32), RNG.random((90, 2)) < 0.9)
OPTIONS = TrainerOptions(hidden=4, cells=("lstm", "gru"), forecast=2, reconstruct=3, bptt_steps=10, batch=2)


def start() -> Network:
    architecture = causal_architecture(OPTIONS, channels=2)
    return to_network(architecture, initial_parameters(architecture, np.random.default_rng(2)))


def test_a_training_is_another_one_when_anything_that_it_begins_with_differs() -> None:
    network = start()
    first = network.layers[0]
    other_layer = replace(first, w_hh=first.w_hh * np.float32(1.5))
    trainings = [
        CausalTraining([PART], [], OPTIONS),
        CausalTraining([PART], [], replace(OPTIONS, seed=9)),
        CausalTraining([Segment(PART.x + np.float32(1), PART.observed)], [], OPTIONS),
        CausalTraining([Segment(PART.x, ~PART.observed)], [], OPTIONS),
        CausalTraining([PART], [], OPTIONS, start=network),
        CausalTraining([PART], [], OPTIONS, start=replace(network, head_weight=network.head_weight + np.float32(1))),
        CausalTraining([PART], [], OPTIONS, start=replace(network, layers=(other_layer, *network.layers[1:]))),
        CausalTraining([PART], [], OPTIONS, start=network, frozen=("layers.0",)),
        CausalTraining([PART], [PART], OPTIONS),
        CausalTraining([PART], [PART, PART], OPTIONS),
    ]
    assert len({training.identity for training in trainings}) == len(trainings)
    assert trainings[4].identity == CausalTraining([PART], [], OPTIONS, start=start()).identity


def test_each_kind_of_dropout_is_drawn_where_it_is_asked_for_and_nowhere_else() -> None:
    for below, itself in ((0.0, 0.0), (0.4, 0.0), (0.0, 0.4), (0.4, 0.3)):
        masks = CausalTraining([PART], [], replace(OPTIONS, dropout=below, recurrent_dropout=itself))._masks()
        if not (below or itself):
            assert masks is None
            continue
        assert masks is not None and masks[0].inputs is None, "the lowest layer sees all"
        assert (masks[1].inputs is not None) == bool(below)
        assert all((mask.recurrent is not None) == bool(itself) for mask in masks)
