"""Code that draws the spikes of its input itself."""
