"""How far a sample can move: a proven and an attacked end, found by bracketing."""
