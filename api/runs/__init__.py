"""What commands do: run files, networks and objectives that a user typed, seeds, the demo."""
