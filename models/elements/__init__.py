"""What networks are made of: neurons, synapses, pools, sums, normalisation."""
