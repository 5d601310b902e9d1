"""Commands about records that are there already, and the leaderboard made of such."""
