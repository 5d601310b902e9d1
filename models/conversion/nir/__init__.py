"""NIR graphs: files from anyone, loops, neurons, resets, and the way back."""
