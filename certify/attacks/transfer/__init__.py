"""Attacks whose gradients are averaged, smoothed or taken elsewhere: for networks whose own says little."""
