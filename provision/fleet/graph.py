"""The order of resources: each after what it needs, otherwise as declared."""

from __future__ import annotations

from collections.abc import Iterable

from provision.catalog.catalog import Resource
from provision.config.problems import Problem, did_you_mean


def ordered(resources: Iterable[Resource]) -> tuple[list[Resource], list[Problem]]:
    """Return the resources so that each comes after its needs, and what is wrong with the needs.

    A need that no resource has, and a cycle, are problems; the resources of a cycle are left out of the
    order.
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
    order: list[Resource] = []
    done: set[str] = set()
    reported: set[str] = set()
    for start in by_id:
        path: list[str] = []
        stack = [(start, iter(by_id[start].needs))] if start not in done else []
        path += [id for id, _ in stack]
        while stack:
            id, needs = stack[-1]
            need = next((n for n in needs if n in by_id and n not in done), None)
            if need is None:
                stack.pop()
                path.pop()
                done.add(id)
                order.append(by_id[id])
            elif need in path:
                cycle = path[path.index(need) :]
                if not reported.intersection(cycle):
                    problems.append(_cycle([by_id[member] for member in cycle]))
                reported.update(cycle)
            else:
                stack.append((need, iter(by_id[need].needs)))
                path.append(need)
    return [resource for resource in order if resource.id not in reported], problems


def _cycle(members: list[Resource]) -> Problem:
    round = " → ".join(resource.label for resource in [*members, members[0]])
    return Problem(
        "circular-reference", members[0].position, f"these need each other in a circle: {round}", None
    )
