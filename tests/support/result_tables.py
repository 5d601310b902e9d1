"""Tables of results, put together again from the parts that fit a page."""


def whole_table(text: str) -> list[list[str]]:
    """Return the heads and the rows of a document's parts as one table; a row's parts begin with its name."""
    lines = [
        [field.strip() for field in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| ")
    ]
    rows: dict[str, list[str]] = {}
    for name, *fields in lines:
        if name != "---":
            rows.setdefault(name, [name]).extend(fields)
    return list(rows.values())
