"""The order of resources: each after what it needs, otherwise as declared."""

from __future__ import annotations

from collections.abc import Iterable

from provision.catalog.catalog import Resource
from provision.config.problems import Problem, did_you_mean


def ordered(resources: Iterable[Resource]) -> tuple[list[Resource], list[Problem]]:
    """Return the resources in an order where each comes after its needs, and the problems.

    A need that does not exist, and a cycle, are problems; the resources of a cycle are left out of the order.
    """
    by_id = {resource.id: resource for resource in resources}
    problems = [
        Problem(
            "unknown-resource",
            resource.position,
            f"{resource.label} needs {need}, which nothing declares",
            did_you_mean(need, by_id),
        )
        for resource in by_id.values()
        for need in resource.needs
        if need not in by_id
    ]
    order: dict[str, Resource] = {}
    reported: set[str] = set()
    for start in by_id:
        path = {} if start in order else {start: iter(by_id[start].needs)}
        while path:
            id = next(reversed(path))
            need = next((need for need in path[id] if need in by_id and need not in order), None)
            if need is None:
                del path[id]
                order[id] = by_id[id]
            elif need in path:
                cycle = list(path)[list(path).index(need) :]
                if not reported.intersection(cycle):
                    problems.append(_cycle([by_id[member] for member in cycle]))
                reported.update(cycle)
            else:
                path[need] = iter(by_id[need].needs)
    return [resource for id, resource in order.items() if id not in reported], problems


def _cycle(members: list[Resource]) -> Problem:
    round = " → ".join(resource.label for resource in [*members, members[0]])
    message = f"these need each other in a circle: {round}"
    return Problem("circular-reference", members[0].position, message)
