"""Sets of changed events: flips, moves, both; their regions and their members."""
