"""A record for people: HTML, Markdown, LaTeX, CSV, a page for a safety case, and their words."""
