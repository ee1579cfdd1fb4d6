"""Keys of Ansible are errors that say what to write here, or that there is no such thing."""

from __future__ import annotations

import pytest

from provision.config.elsewhere import advice, hint
from tests.unit.config.conftest import Project


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "files: {/a: {content: x, notify: docker}}",
            "`notify`; a command follows changes: commands: {NAME: {run: …, when_changed: [PATH]}}",
        ),
        (
            "files: {/a: {state: absent}}",
            "`state`; what is declared must exist; for a file that must not exist, write {absent: true}",
        ),
        ("directories: {/a: {absent: true}}", "`absent`; only files can be declared absent"),
        ("commands: {a: {run: x, on_change: [/a]}}", "`on_change`; write `when_changed`"),
        (
            "commands: {a: {run: x, args: {creates: /a}}}",
            "`args`; write `creates` and `directory` beside `run`",
        ),
        ("commands: {a: {shell: x}}", "`shell`; write `run`"),
        ("commands: {a: {run: x, when: y}}", "`when`; there are no conditions: put the hosts into a group"),
        ("commands: {a: {run: x, register: y}}", "`register`; there are no results"),
        ("services: {a: {kind: program, command: x, with_items: [1]}}", "`with_items`; there are no loops"),
        ("serial: 1", "`serial`; hosts are changed in parallel; to change some of them first, use --limit"),
        ("become: true", "`become`; set `become` on the host or its group in the inventory"),
        ("handlers: []", "`handlers`; a command follows changes"),
        ("tasks: []", "`tasks`; there are no tasks"),
    ],
)
def test_a_key_of_ansible(project: Project, text: str, said: str) -> None:
    assert any(f"unknown key {said}" in error for error in project.errors(f"- hosts: gpu\n  {text}\n"))


def test_an_unknown_key_is_told_whatever_its_value(project: Project) -> None:
    text = "- hosts: gpu\n  commands: {a: {run: x, when: '{{ gpu_vendor }}'}}\n"
    assert any("there are no conditions" in error for error in project.errors(text))


def test_advice_fits_the_place() -> None:
    assert hint("cmd", ["run"]) == "write `run`"
    assert hint("cmd", ["image", "command"]) is None
    assert hint("environment", ["environment"]) is None
    texts = [text for section in advice().values() for text in section.values()]
    assert all(text[0].islower() or text[0] == "`" for text in texts)


def test_what_a_command_follows_and_its_secrets(project: Project) -> None:
    play = project.play(
        """\
        - hosts: gpu
          commands:
            a:
              run: docker login --password-stdin registry.example
              when_changed: [/etc/a.json, {package: docker.io}, {environment: e}, {model: m}]
              env: {T: {env: TOKEN}, U: plain, V: 1}
        """
    )
    assert [each.kind for each in play.fields.commands["a"].when_changed] == [
        "path",
        "package",
        "environment",
        "model",
    ]
    assert play.fields.commands["a"].env["V"] == "1"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            "commands: {a: {run: x, when_changed: [{packages: x}]}}",
            "`packages` is not what a command follows; write {package: NAME}",
        ),
        (
            "commands: {a: {run: x, when_changed: [{path: /x}]}}",
            "`path` is not what a command follows; write the path alone",
        ),
        (
            "commands: {a: {run: x, when_changed: [docker]}}",
            "write a path, {package: NAME}, {environment: NAME} or {model: NAME}",
        ),
        ("commands: {a: {run: reboot}}", "a command cannot reboot the host"),
        ("commands: {a: {run: [systemctl, reboot]}}", "a command cannot reboot the host"),
        ("files: {/a: {absent: true, content: x}}", "`content` has no meaning for a file that is `absent`"),
        ("files: {/a: {absent: true, mode: '0644'}}", "`mode` has no meaning for a file that is `absent`"),
    ],
)
def test_mistakes(project: Project, text: str, error: str) -> None:
    assert error in "\n".join(project.errors(f"- hosts: gpu\n  {text}\n"))
