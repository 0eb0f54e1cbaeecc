"""Makes mixed.keras and mixed_io.npz with Keras 3.15.

Run only to renew them; neither the project nor its tests need keras.
"""

import zipfile
from pathlib import Path

import keras
import numpy as np

FOLDER = Path(__file__).parent
rng = np.random.default_rng(12)
layers = keras.layers
model = keras.Sequential(
    [  # three kinds and widths, in an order that is not alphabetical
        keras.Input((None, 3)),
        layers.SimpleRNN(6, return_sequences=True),
        layers.GRU(5, return_sequences=True, reset_after=False),
        layers.Dropout(0.2),
        layers.LSTM(4, return_sequences=True, use_bias=False),
        layers.TimeDistributed(layers.Dense(3)),
    ]
)
for weight in model.weights:
    weight.assign(rng.normal(0, 0.4, weight.shape).astype("float32"))
x = rng.normal(size=(2, 9, 3)).astype("float32")
np.savez(FOLDER / "mixed_io.npz", x=x, y=np.asarray(model(x)))
model.save(FOLDER / "draft.keras")
with (
    zipfile.ZipFile(FOLDER / "draft.keras") as draft,
    zipfile.ZipFile(FOLDER / "mixed.keras", "w", zipfile.ZIP_DEFLATED) as smaller,
):
    for name in draft.namelist():
        smaller.writestr(name, draft.read(name))
(FOLDER / "draft.keras").unlink()
