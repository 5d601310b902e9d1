"""What is known of a signal over time: input sets, affine images, sums, pools, synapses, drives of layers."""
