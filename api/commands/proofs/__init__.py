"""The command that checks proofs, and what it asks of them."""
