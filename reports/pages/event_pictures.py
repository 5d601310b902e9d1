"""Recordings of events as pictures: where they are, and in which step, by colour; or by features over time."""
