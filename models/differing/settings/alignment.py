"""Two lists laid along each other: as many equal entries as possible, in order."""

from collections.abc import Hashable, Sequence


def matches(a: Sequence[Hashable], b: Sequence[Hashable]) -> tuple[tuple[int, int], ...]:
    """Return the places of a longest common subsequence, the earliest in both.

    >>> matches("abc", "axbc")
    ((0, 0), (1, 2), (2, 3))
    """
    best = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i in range(len(a) - 1, -1, -1):
        for j in range(len(b) - 1, -1, -1):
            equal = best[i + 1][j + 1] + 1 if a[i] == b[j] else 0
            best[i][j] = max(equal, best[i + 1][j], best[i][j + 1])
    found, i, j = [], 0, 0
    while i < len(a) and j < len(b):
        if a[i] == b[j] and best[i][j] == best[i + 1][j + 1] + 1:
            found.append((i, j))
            i, j = i + 1, j + 1
        elif best[i + 1][j] >= best[i][j + 1]:
            i += 1
        else:
            j += 1
    return tuple(found)
