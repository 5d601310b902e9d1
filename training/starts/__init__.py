"""Where training starts from: layers that fire, neurons that look at one spot."""
