"""Which spike trains a layer may have: tables (F1), graphs (F2), chains, rests, loops."""
