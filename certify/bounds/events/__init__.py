"""How far weighted sums of events move when events flip or move in time."""
