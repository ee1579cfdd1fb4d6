"""The engine's command line and what its messages mean."""

from __future__ import annotations

import shlex

import pytest

from provision.connect import Local, Ssh
from provision.connect.container import Container


def test_the_engine_is_called_without_a_shell_reading_names() -> None:
    argv = Container(host="c", container="a b", through=Local(host="localhost"), engine="podman").argv(
        "echo $HOME"
    )
    assert argv[:2] == ["sh", "-c"]
    assert shlex.split(argv[2]) == ["exec", "podman", "exec", "-i", "--", "a b", "sh", "-c", "echo $HOME"]


def test_through_another_host_and_its_sudo() -> None:
    box = Ssh(host="box", address="10.0.0.12", directory=None, become=True)
    argv = Container(host="c", container="web", through=box, engine="docker", user="1000").argv("true")
    assert argv[0] == "ssh"
    assert "sudo -n -- sh -c" in argv[-1]
    assert "docker exec -i --user 1000 -- web sh -c true" in argv[-1]


@pytest.mark.parametrize(
    ("stderr", "cause"),
    [
        ("Error response from daemon: No such container: web\n", "there is no container web"),
        ('Error: no container with name or ID "web" found: no such container\n', "there is no container web"),
        ("Error response from daemon: container 0123 is not running\n", "the container web is not running"),
        (
            "Error: can only create exec sessions on running containers: container state improper\n",
            "the container web is not running",
        ),
        (
            "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is it running?\n",
            "the service of docker does not answer",
        ),
        ("sh: 1: exec: docker: not found\n", "docker is not installed"),
        (
            'OCI runtime exec failed: exec failed: unable to start container process: exec: "sh": '
            "executable file not found in $PATH: unknown\n",
            "the container web has no shell",
        ),
    ],
)
def test_messages_of_the_engines_are_explained(stderr: str, cause: str) -> None:
    container = Container(host="c", container="web", through=Local(host="localhost"), engine="docker")
    assert container.explain(1, stderr).message == cause


def test_a_machine_that_cannot_be_reached_is_explained_by_the_way_to_it() -> None:
    box = Ssh(host="box", address="10.0.0.12", directory=None)
    container = Container(host="c", container="web", through=box, engine="docker")
    refused = "ssh: connect to host 10.0.0.12 port 22: Connection refused\n"
    assert container.explain(255, refused).message == "connection refused by 10.0.0.12 port 22"
