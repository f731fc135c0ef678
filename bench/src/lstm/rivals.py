"""One rival of `bench lstm`: says ready, then answers each line with the seconds that its passes took the second time."""

import os
import shutil
import sys
import tempfile
import time
import warnings

warnings.filterwarnings("ignore")
TAUS = [0.5, 0.9, 0.95, 0.99]
PEAK_TAUS = [0.5, 0.8, 0.9, 0.95, 0.98, 0.99]
OUTPUTS = 60


def served(batch, hidden, dense, targets, features, horizons, holds, count, *looks):
    """The forecaster's network: an LSTM a look joined with statistics, quantiles of values and of peaks that cannot cross.

    looks: inputs and width of each of them.
    """
    import torch
    from torch import nn

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstms = nn.ModuleList(nn.LSTM(width, hidden, batch_first=True) for width in looks[1::2])
            self.from_state = nn.Linear(count * hidden, targets * dense, bias=False)
            self.from_statistics = nn.Linear(features, dense, bias=False)
            self.of_target = nn.Parameter(torch.zeros(targets, dense))
            self.middle = nn.Linear(dense, dense)
            self.out, self.straight = nn.Linear(dense, horizons * 4), nn.Linear(features, horizons * 4, bias=False)
            self.peaks, self.peaks_straight = nn.Linear(dense, holds * 6), nn.Linear(features, holds * 6, bias=False)
            self.drop = nn.Dropout(0.1)

        def forward(self, statistics, *sequences):
            states = [lstm(sequence)[0][:, -1] for lstm, sequence in zip(self.lstms, sequences)]
            state = self.from_state(self.drop(torch.cat(states, -1))).unflatten(-1, (targets, dense))
            z = torch.relu(state + self.from_statistics(self.drop(statistics)) + self.of_target)
            z = self.drop(z + torch.relu(self.middle(z)))
            values = self.out(z) + self.straight(statistics)
            peaks = self.peaks(z.detach()) + self.peaks_straight(statistics)
            return rise(values.unflatten(-1, (-1, 4))), rise(peaks.unflatten(-1, (-1, 6)))

    def rise(steps):
        return torch.cumsum(torch.cat([steps[..., :1], nn.functional.softplus(steps[..., 1:])], -1), -1)

    torch.manual_seed(1)
    sequences = [torch.randn(batch, inputs, width) for inputs, width in zip(looks[::2], looks[1::2])]
    return torch, Network(), (torch.randn(batch, targets, features), *sequences)


def served_training(sizes, threads):
    torch, network, inputs = served(*sizes)
    torch.set_num_threads(threads)
    optimiser = torch.optim.AdamW(network.parameters(), 1e-3, weight_decay=0.1)
    batch, _, _, targets, _, horizons, holds, *_ = sizes
    both = [(torch.randn(batch, targets, count, 1), torch.ones(batch, targets, count, 1), torch.tensor(taus))
            for count, taus in ((horizons, TAUS), (holds, PEAK_TAUS))]
    averages = [weights.detach().clone() for weights in network.parameters()]

    def step():
        optimiser.zero_grad(set_to_none=True)
        loss = 0
        for said, (truths, weights, taus), share in zip(network(*inputs), both, (1, 0.01)):
            error = truths - said
            loss = loss + share * (torch.maximum(taus * error, (taus - 1) * error) * weights).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        torch._foreach_lerp_(averages, [weights.detach() for weights in network.parameters()], 0.002)
        loss.item()

    return step


def prepared(batch, steps, input, hidden, layers):
    import torch

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = torch.nn.LSTM(input, hidden, layers, batch_first=True)
            self.out = torch.nn.Linear(hidden, OUTPUTS)

        def forward(self, sequence):
            return self.out(self.lstm(sequence)[0][:, -1])

    torch.manual_seed(1)
    return torch, Network(), torch.randn(batch, steps, input)


def training(sizes, threads):
    torch, network, sequence = prepared(*sizes)
    torch.set_num_threads(threads)
    optimiser = torch.optim.Adam(network.parameters(), 1e-3)
    truths = torch.randn(len(sequence), OUTPUTS // len(TAUS), 1)
    taus = torch.tensor(TAUS)

    def step():
        optimiser.zero_grad(set_to_none=True)
        error = truths - network(sequence).view(len(sequence), -1, len(TAUS))
        torch.maximum(taus * error, (taus - 1) * error).mean().backward()
        optimiser.step()

    return step


def inference(sizes, threads, make=None):
    torch, network, inputs = (make or prepared)(*sizes)
    inputs = inputs if isinstance(inputs, tuple) else (inputs,)
    torch.set_num_threads(threads)
    network.eval()

    def go():
        with torch.inference_mode():
            network(*inputs)

    return go


def exported(sizes, threads, make=None):
    """In ONNX Runtime. The model is written by a process of its own, so that this one never holds PyTorch."""
    folder = tempfile.mkdtemp()
    path = os.path.join(folder, "model.onnx")
    child = os.fork()
    if child == 0:
        os.dup2(2, 1)
        torch, network, inputs = (make or prepared)(*sizes)
        inputs = inputs if isinstance(inputs, tuple) else (inputs,)
        names = [f"input{at}" for at in range(len(inputs))]
        torch.onnx.export(network.eval(), inputs, path, dynamo=False, input_names=names)
        os._exit(0)
    os.waitpid(child, 0)
    import numpy
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    shutil.rmtree(folder)
    random = numpy.random.default_rng(1)
    inputs = {of.name: random.standard_normal(of.shape, dtype=numpy.float32) for of in session.get_inputs()}
    return lambda: session.run(None, inputs)


name, work, what = sys.argv[1:4]
*sizes, threads, passes = map(int, sys.argv[4:])
of_lstm = {("pytorch", "train"): training, ("pytorch", "infer"): inference, ("onnxruntime", "infer"): exported}
of_served = {
    ("pytorch", "train"): served_training,
    ("pytorch", "infer"): lambda sizes, threads: inference(sizes, threads, served),
    ("onnxruntime", "infer"): lambda sizes, threads: exported(sizes, threads, served),
}
go = {"lstm": of_lstm, "served": of_served}[what][name, work](sizes, threads)
go()
print("ready", flush=True)
for _ in sys.stdin:
    for _ in range(passes):
        go()
    start = time.perf_counter()
    for _ in range(passes):
        go()
    print(time.perf_counter() - start, flush=True)
