"""The network of a model file: its nodes, its neurons, and how large a run may get."""
