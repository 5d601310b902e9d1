"""Input-output gains of the simplified dynamics, as proven upper ends."""
