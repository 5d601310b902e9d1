"""Tasks over time that make themselves."""
