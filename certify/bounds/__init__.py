"""What can be proven of a network's signals over a set of inputs: boxes, spike trains, logits."""
