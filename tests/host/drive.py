"""Runs on a host: looks at one resource, fixes or removes it, and prints what came of it as JSON.

Standard input: {"resource": an entry of a request, "verb": "inspect" | "fix" | "remove", "state": directory},
and "events": a file to which each event is added as it comes, for those who cannot wait for the end.
"""

import json
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from provision.host.causes import explain
from provision.host.failure import Failure
from provision.host.machine import Machine
from provision.host.resource import differences
from provision.host.resources import make, recall


def drive(order):
    events = []

    def hear(event):
        events.append(event.plain())
        if "events" in order:
            with open(order["events"], "a") as file:
                file.write(json.dumps(event.plain()) + "\n")

    machine = Machine(hear, order["state"])
    entry = order["resource"]
    resource = make(entry["id"], entry["type"], entry["spec"])
    result = {"events": events, "error": None}
    try:
        if order["verb"] == "remove":
            spec = resource.spec.plain()
            kept = {key: spec[key] for key in resource.identity}  # all that the ledger has
            result["removed"] = recall(entry["id"], entry["type"], kept).remove(machine)
            return result
        result["expected"] = resource.expected(machine)
        result["before"] = resource.actual(machine)
        result["changes"] = changes = differences(result["expected"], result["before"])
        result["notes"] = [note.plain() for note in resource.notes(machine)]
        if changes:
            result["diff"] = resource.diff(machine, changes)
            work = resource.work(machine, changes)
            result["work"] = work.plain() if work else {}
        if order["verb"] == "fix" and changes:
            resource.fix(machine, changes)
            result["left"] = left = differences(resource.expected(machine), resource.actual(machine))
            missed = resource.missed(machine, left) if left else None
            result["missed"] = missed and missed.message
    except (Failure, OSError) as error:
        failure = explain(error)
        result.update(error=failure.message, hint=failure.hint, log=failure.log)
    return result


if __name__ == "__main__":
    json.dump(drive(json.load(sys.stdin)), sys.stdout)
