"""The set of inputs that a proof is about: boxes, and recordings whose events flip and move."""
