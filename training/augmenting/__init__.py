"""Changed copies of training samples: pictures and recordings."""
