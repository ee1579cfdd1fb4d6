"""Names that lead back to themselves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter


def circles(graph: Mapping[str, Iterable[str]]) -> Iterator[list[str]]:
    """Find names that lead back to themselves: each circle from its first name to that name again.

    Args:
        graph: the names that each name leads to. The first name of a circle is the first of these.
    """
    order = list(graph)
    left = {name: leads for name in graph if (leads := graph.keys() & graph[name])}
    while left:
        try:
            TopologicalSorter(left).prepare()
        except CycleError as error:
            *way, _ = reversed(error.args[1])
            first = way.index(min(way, key=order.index))
            yield [*way[first:], *way[: first + 1]]
            for name in way:
                del left[name]
        else:
            break
