"""The assignment of least total cost (Kuhn 1955), by shortest augmenting paths."""

from __future__ import annotations

import math


def assign(
    cost: list[list[float]],  # [K][L], finite
) -> list[tuple[int, int]]:
    """min(K, L) pairs (row, column), each row and column used at most once, of least total cost; rising by row.

    O(K^2 L), in plain Python: the faces of a frame are few, and scipy's solver would be a dependency for this alone.
    """
    if not cost or not cost[0]:
        return []
    if len(cost) > len(cost[0]):
        return sorted((row, column) for column, row in assign([list(line) for line in zip(*cost, strict=True)]))
    columns = len(cost[0])
    row_price = [0.0] * len(cost)
    column_price = [0.0] * columns
    owner = [-1] * columns  # the row that holds a column
    for row in range(len(cost)):
        _augment(cost, row, row_price, column_price, owner)
    return sorted((row, column) for column, row in enumerate(owner) if row >= 0)


def _augment(
    cost: list[list[float]], row: int, row_price: list[float], column_price: list[float], owner: list[int]
) -> None:
    """Gives `row` a column along the shortest path of reduced costs, and keeps the prices feasible (Dijkstra)."""
    columns = range(len(owner))
    distance = [math.inf] * len(owner)
    before = [-1] * len(owner)  # the column that the path comes from
    done: set[int] = set()
    current, last, reached = row, -1, 0.0
    while True:
        for column in columns:
            if column in done:
                continue
            through = reached + cost[current][column] - row_price[current] - column_price[column]
            if through < distance[column]:
                distance[column], before[column] = through, last
        last = min((column for column in columns if column not in done), key=lambda column: distance[column])
        reached = distance[last]
        if owner[last] < 0:
            break
        done.add(last)
        current = owner[last]
    row_price[row] += reached
    for column in done:
        row_price[owner[column]] += reached - distance[column]
        column_price[column] -= reached - distance[column]
    while last >= 0:
        owner[last] = owner[before[last]] if before[last] >= 0 else row
        last = before[last]
