"""What splits sets into parts: boxes of inputs, and moves of events."""
