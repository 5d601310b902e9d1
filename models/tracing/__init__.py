"""Any PyTorch code, by what it computes: traced to one graph, read as polynomials of spikes, proved, built."""
