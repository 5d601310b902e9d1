"""The open bits of a rate code, split window by window of its steps."""
