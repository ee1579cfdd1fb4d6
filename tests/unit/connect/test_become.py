"""What sudo's refusals mean, and that root needs no sudo."""

from __future__ import annotations

import os
import subprocess

import pytest

from provision.connect.become import PROMPT, as_root, refusal


@pytest.mark.parametrize(
    ("stderr", "cause"),
    [
        ("sudo: a password is required\n", "sudo wants a password"),
        ("sudo: a terminal is required to read the password; either use ...\n", "sudo wants a password"),
        ("ops is not in the sudoers file.\n", "sudo does not allow this user to become root"),
        (
            "Sorry, user ops is not allowed to execute '/bin/sh' as root on gpu.\n",
            "sudo does not allow this user to become root",
        ),
        ("sudo: sorry, you must have a tty to run sudo\n", "sudo insists on a terminal"),
        ("sudo: 1 incorrect password attempt\n", "sudo did not accept the password"),
        ("provision: sudo is not installed\n", "sudo is not installed on the host"),
    ],
)  # fmt: skip
def test_refusals_of_sudo_are_explained(stderr: str, cause: str) -> None:
    found = refusal(stderr)
    assert found is not None
    assert found.message == cause


def test_other_messages_are_no_refusals() -> None:
    assert refusal("sudo: unable to resolve host gpu: Name or service not known\n") is None


def test_asks_at_most_when_a_password_is_at_hand() -> None:
    assert PROMPT not in as_root("true", ask_password=False)
    assert "sudo -n " in as_root("true", ask_password=False)
    assert PROMPT in as_root("true", ask_password=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is root without sudo")
def test_root_needs_no_sudo() -> None:
    script = as_root("echo 'it'\"'\"'s' $(id -u)", ask_password=False)
    shown = subprocess.run(
        ["sh", "-c", script], capture_output=True, text=True, check=True, env={"PATH": "/usr/bin:/bin"}
    )
    assert shown.stdout == "it's 0\n"
