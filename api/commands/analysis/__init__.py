"""Commands that say what a network is: its gains, its use of time, and the theorems behind them."""
