"""Sets of networks: hardware whose numbers stray, and whose neurons are stuck."""
