"""Makes lstm.json: what PyTorch's LSTM gives, and its gradients, for weights and sequences that are drawn here.

pip install torch && python lstm.py > lstm.json
"""

import json

import torch

CASES = [  # input, hidden, layers, batch, steps
    (3, 5, 1, 1, 6),
    (4, 6, 2, 5, 7),
    (2, 17, 1, 3, 5),
    (1, 3, 2, 37, 3),
]


def flat(tensors):
    numbers = torch.cat([tensor.detach().reshape(-1) for tensor in tensors])
    return [float(f"{number:.9g}") for number in numbers.tolist()]


def case(seed, input, hidden, layers, batch, steps):
    torch.manual_seed(seed)
    lstm = torch.nn.LSTM(input, hidden, layers, batch_first=True)
    # Larger than usual, so that gates are not all half open.
    weights = list(lstm.parameters())
    with torch.no_grad():
        for weight in weights:
            weight.mul_(2.0)
    sequence = (1.5 * torch.randn(batch, steps, input)).requires_grad_()
    d_last = torch.randn(batch, hidden)
    last = lstm(sequence)[0][:, -1]
    last.backward(d_last)
    return {
        "shape": [batch, steps, input],
        "hidden": hidden,
        "layers": layers,
        "weights": flat(weights),
        "sequence": flat([sequence]),
        "d_last": flat([d_last]),
        "last": flat([last]),
        "d_weights": flat([weight.grad for weight in weights]),
        "d_sequence": flat([sequence.grad]),
    }


torch.set_num_threads(1)
cases = [case(seed, *sizes) for seed, sizes in enumerate(CASES)]
print("[\n" + ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases) + "\n]")
