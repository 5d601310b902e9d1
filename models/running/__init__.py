"""How a network runs: encodings, the membrane recursion, kernels, readouts."""
