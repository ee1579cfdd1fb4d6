"""Asking a program whether it would start as declared, while the running one keeps serving."""

from __future__ import annotations

import os
import pwd
import subprocess

from provision.host.failure import Failure
from provision.host.machine import Machine
from provision.host.python.cases import choose
from provision.host.services import answers
from provision.host.services.failures import patterns
from provision.host.services.failures.root_cause import first_failure
from provision.wire.cases import Case
from provision.wire.finding import Finding
from provision.wire.server import Preflight

REFUSED = 2
"""The exit code of a program that refuses its command line. Any other code but 0 tells nothing."""

SHORT = 120
"""Characters of a reason that fits into the message; a longer one is only shown in the log."""

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Unanswered(Exception):
    """A program could not be asked, or has not answered; the message says why."""


def refusal(machine: Machine, id: str, service: str, preflight: Preflight) -> Failure | None:
    """Return why a service would not start as it is declared now; None when no reason is known.

    An answer is kept, and the same question is not asked again. That it could not be asked is only told in
    the output of resource `id`: a good change must not fail by it.
    """
    assumed = Case(since="", content=preflight.arguments)
    arguments = choose(machine, preflight.cases, assumed).content
    try:
        variables = _variables(preflight)
        question = answers.question(preflight.program, arguments, variables)
        known, refused = answers.kept(machine.state, service, question)
        if known:
            machine.output(id, f"not asked again whether {service} would start: nothing has changed since")
            return Failure.of(refused) if refused else None
        machine.progress(id, 0, preflight.timeout, "seconds", f"asking whether {service} would start")
        refused = _ask(machine, service, preflight, [*variables, *preflight.program, *arguments])
        answers.keep(machine.state, service, question, refused)
        return Failure.of(refused) if refused else None
    except Unanswered as error:
        machine.output(id, f"not tried out before the restart: {error}")
        return None


def _ask(machine: Machine, service: str, preflight: Preflight, words: list[str]) -> Finding | None:
    """Return why a program refuses its arguments, None when it takes them.

    Raises:
        Unanswered: it says neither.
    """
    try:
        # Not with the environment of the person who applies: the service does not have it either.
        argv = ["env", "-i", *words]
        done = machine.run(argv, timeout=preflight.timeout, cwd="/", user=preflight.user, check=False)
    except (Failure, KeyError, subprocess.SubprocessError) as error:
        if machine.cancelled.is_set():
            raise
        raise Unanswered(str(error)) from None
    if done.code == 0:
        return None
    lines = [line.rstrip() for line in done.err.splitlines() if line.strip()]
    said = lines[-1].partition("error: ") if lines else ("", "", f"exit {done.code}")
    why = said[2] or said[0]
    if done.code != REFUSED:
        raise Unanswered(why)
    short = len(why) <= SHORT
    message = f"{service} would not start with this, and was left running as it is"
    known = patterns.explain(lines)
    return Finding(
        code="arguments-refused",
        message=f"{message}: {why}" if short else message,
        hint=known.hint if known else None,
        log=first_failure(lines[:-1] if short else lines),
    )


def _variables(preflight: Preflight) -> list[str]:
    user = preflight.user
    try:
        entry = pwd.getpwnam(user) if user else pwd.getpwuid(os.geteuid())
    except KeyError as error:
        raise Unanswered(str(error)) from None
    found = {"PATH": PATH, "LC_ALL": "C.UTF-8", "HOME": entry.pw_dir, "USER": entry.pw_name}
    return [f"{name}={value}" for name, value in {**found, **preflight.env}.items()]
