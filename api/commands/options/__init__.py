"""Options that commands share, and how their texts become values."""
