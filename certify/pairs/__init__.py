"""Two builds of one network: whether they say the same."""
