"""Train a small network on real digits, then count what is broken and what is proved (about 20 s).

python examples/certify_digits.py
"""

import torch

from spikecert import DLIF, MSMPPD, LInf, SingleStep, attack, dataset, fit, gain, mlp, verify
from spikecert.certify import reconcile

EPSILON = 8 / 255


def main() -> None:
    """Print the layer's gain, and the fates of 100 test digits."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    data = dataset("digits")
    network = mlp((64, 64, 10), num_steps=8, neuron=DLIF(num_steps=8, decay=0.9))
    objective = MSMPPD(rho=1.0, perturbation=SingleStep(epsilon=0.05), two_sided=True)
    trained = fit(network, data, objective, epochs=30, optimizer="adam", learning_rate=0.005).network

    print(f"gain of the simplified dynamics (no certificate): {gain(trained).layers[0].gain:.2f}")
    inputs, labels = data.test.inputs[:100], data.test.labels[:100]
    broken = attack(trained, inputs, labels, LInf(EPSILON), method="ensemble-fast")
    verdicts = verify(trained, inputs, labels, LInf(EPSILON), verifier="linear")
    reconcile(verdicts, broken)
    proved = sum(verdict.status == "verified" for verdict in verdicts)
    print(f"of 100 at ε = 8/255 (ℓ∞, T = 8): {int(broken.success.sum())} broken, {proved} proved")


if __name__ == "__main__":
    main()
