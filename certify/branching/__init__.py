"""Branch and bound over spike trains: what makes a verifier complete."""
