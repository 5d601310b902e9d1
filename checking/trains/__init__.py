"""Which spike trains a neuron may have: tables (F1), paths (F2), cells (F9), by reset and current."""
