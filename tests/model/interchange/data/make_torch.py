"""Makes lstm.pt, gru_checkpoint.pt, torch_lstm.onnx and torch_io.npz with PyTorch 2.15.

Run only to renew them; neither the project nor its tests need torch.
"""

from pathlib import Path

import numpy as np
import torch
from torch import nn

FOLDER = Path(__file__).parent
torch.manual_seed(11)


class Network(nn.Module):
    def __init__(self, kind: type[nn.RNNBase], inputs: int, hidden: int, layers: int, outputs: int) -> None:
        super().__init__()
        self.rnn = kind(inputs, hidden, layers, batch_first=True)
        self.head = nn.Linear(hidden, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.rnn(x)[0])


io = {}
for name, network in (("lstm", Network(nn.LSTM, 3, 5, 2, 9)), ("gru_checkpoint", Network(nn.GRU, 2, 7, 1, 4))):
    for parameter in network.parameters():
        parameter.data = torch.randn_like(parameter) * 0.4
    if name == "gru_checkpoint":  # bfloat16 storages, a transposed view, and what stands around them
        network.to(torch.bfloat16).float()
        state = {key: value.to(torch.bfloat16) for key, value in network.state_dict().items()}
        state["head.weight"] = state["head.weight"].T.contiguous().T
        torch.save({"epoch": 3, "loss": 0.25, "model": state, "best": None}, FOLDER / f"{name}.pt")
    else:
        torch.save(network.state_dict(), FOLDER / f"{name}.pt")
        example = torch.randn(2, 4, 3)
        torch.onnx.export(network, (example,), FOLDER / "torch_lstm.onnx", dynamo=False, opset_version=17)
    x = torch.randn(3, 11, network.rnn.input_size)
    io |= {f"{name}.x": x.numpy(), f"{name}.y": network(x).detach().numpy()}
np.savez(FOLDER / "torch_io.npz", **io)
