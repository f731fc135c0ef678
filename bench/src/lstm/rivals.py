"""One rival of `bench lstm`: says ready, then answers each line with the seconds that its passes took."""

import os
import shutil
import sys
import tempfile
import time
import warnings

warnings.filterwarnings("ignore")
TAUS = [0.5, 0.9, 0.95, 0.99]
OUTPUTS = 60


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


def inference(sizes, threads):
    torch, network, sequence = prepared(*sizes)
    torch.set_num_threads(threads)
    network.eval()

    def go():
        with torch.inference_mode():
            network(sequence)

    return go


def exported(sizes, threads):
    """In ONNX Runtime. The model is written by a process of its own, so that this one never holds PyTorch."""
    folder = tempfile.mkdtemp()
    path = os.path.join(folder, "model.onnx")
    child = os.fork()
    if child == 0:
        os.dup2(2, 1)
        torch, network, sequence = prepared(*sizes)
        torch.onnx.export(network.eval(), (sequence,), path, dynamo=False, input_names=["sequence"])
        os._exit(0)
    os.waitpid(child, 0)
    import numpy
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    shutil.rmtree(folder)
    inputs = {"sequence": numpy.random.default_rng(1).standard_normal(sizes[:3], dtype=numpy.float32)}
    return lambda: session.run(None, inputs)


name, work = sys.argv[1:3]
*sizes, threads, passes = map(int, sys.argv[3:])
ways = {("pytorch", "train"): training, ("pytorch", "infer"): inference, ("onnxruntime", "infer"): exported}
go = ways[name, work](sizes, threads)
go()
print("ready", flush=True)
for _ in sys.stdin:
    start = time.perf_counter()
    for _ in range(passes):
        go()
    print(time.perf_counter() - start, flush=True)
