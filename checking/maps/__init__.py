"""Affine maps and pools of a model file, exactly, and how far a run may be from them."""
