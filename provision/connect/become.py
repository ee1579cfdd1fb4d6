"""Becoming root by sudo: the script that does it, and what its refusals mean."""

from __future__ import annotations

import os
import re
import shlex

from provision.wire.finding import Finding, fault

PROMPT = "provision-sudo-" + os.urandom(12).hex() + ":"
"""What sudo prints when it wants the password. It cannot be guessed, so that nothing else can ask for it."""

NO_SUDO = "provision: sudo is not installed"

_REFUSALS = (
    (
        "sudo-password",
        r"a password is required|a terminal is required|no password was provided|askpass",
        "sudo wants a password",
        "run with --ask-become-pass, or allow the user NOPASSWD in sudoers",
    ),
    (
        "sudo-refused",
        r"not in the sudoers file|is not allowed to (?:execute|run)|may not run sudo",
        "sudo does not allow this user to become root",
        "allow it in sudoers, or connect as a user who may",
    ),
    (
        "sudo-refused",
        r"must have a tty to run sudo",
        "sudo insists on a terminal",
        "take `requiretty` out of sudoers for this user",
    ),
    (
        "sudo-password",
        r"incorrect password attempt|Sorry, try again",
        "sudo did not accept the password",
        None,
    ),
    (
        "sudo-refused",
        re.escape(NO_SUDO) + r"|sudo: (?:command )?not found",
        "sudo is not installed on the host",
        "install sudo, or connect as root and leave `become` out",
    ),
    (
        "sudo-refused",
        r"no new privileges|effective uid is not 0|must be owned by uid 0",
        "sudo cannot work on this host",
        None,
    ),
)


def as_root(script: str, ask_password: bool) -> str:
    """Return a script that runs `script` as root: by sudo, or as it is for who is root already.

    Args:
        script: what to run.
        ask_password: let sudo read a password from standard input after the prompt `PROMPT`, once.
            Without it sudo fails at once where it would have asked.
    """
    how = "-S -p " + shlex.quote(PROMPT) if ask_password else "-n"
    return (
        f"S={shlex.quote(script)}; "
        'if [ "$(id -u)" = 0 ]; then exec sh -c "$S"; fi; '
        f"command -v sudo >/dev/null 2>&1 || {{ echo {shlex.quote(NO_SUDO)} >&2; exit 1; }}; "
        f'exec sudo {how} -- sh -c "$S"'
    )


def refusal(stderr: str) -> Finding | None:
    """Say why sudo refused, from what it printed; None when it did not."""
    for code, pattern, cause, hint in _REFUSALS:
        if re.search(pattern, stderr):
            return fault(code, cause, hint)
    return None
