"""How a record comes about: plans, measurements part by part, tables, circumstances."""
