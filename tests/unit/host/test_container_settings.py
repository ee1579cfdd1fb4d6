"""What engines that cannot run here say of a container, in the words of their own documentation."""

from __future__ import annotations

from typing import Any

import pytest

from provision.host.services.containers import settings
from provision.wire.specs.container import ContainerSpec, EngineOptions, Port


def of_docker(**host: Any) -> dict[str, Any]:
    """What docker's `inspect` says of a bare container."""
    return {
        "Id": "0123456789abcdef",
        "Image": "sha256:fedcba9876543210",
        "Config": {"Cmd": ["run"], "Env": ["PATH=/bin"], "Labels": {"provision.service": "web"}, "User": ""},
        "HostConfig": {
            "NetworkMode": "bridge",
            "PortBindings": None,
            "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
            "IpcMode": "private",
            "ShmSize": 67108864,
            "DeviceRequests": None,
            "Init": None,
            **host,
        },
        "Mounts": [],
        "NetworkSettings": {"Networks": {"bridge": {}}},
    }


def spec(**more: Any) -> ContainerSpec:
    return ContainerSpec(service="web", container="web", image="web:1", options=EngineOptions(), **more)


IMAGE = {"Config": {"Cmd": ["run"], "Env": ["PATH=/bin"], "Volumes": {"/var/lib/data": {}}}}


def same(declared: ContainerSpec, container: dict[str, Any]) -> bool:
    return settings.declared(declared) == settings.observed(declared, container, IMAGE)


def test_a_bare_container_is_as_declared() -> None:
    assert same(spec(), of_docker())


@pytest.mark.parametrize(
    ("gpus", "asked"),
    [
        (["all"], {"Driver": "", "Count": -1, "DeviceIDs": None, "Capabilities": [["gpu"]]}),
        (["1", "0"], {"Driver": "", "Count": 0, "DeviceIDs": ["0", "1"], "Capabilities": [["gpu"]]}),
        (["9", "10"], {"Driver": "", "Count": 0, "DeviceIDs": ["9", "10"], "Capabilities": [["gpu"]]}),
        (
            ["GPU-b", "GPU-a"],
            {"Driver": "", "Count": 0, "DeviceIDs": ["GPU-b", "GPU-a"], "Capabilities": [["gpu"]]},
        ),
    ],
)
def test_the_gpus_of_docker(gpus: list[str], asked: dict[str, Any]) -> None:
    assert same(spec(gpus=gpus), of_docker(DeviceRequests=[asked]))
    assert not same(spec(), of_docker(DeviceRequests=[asked]))
    assert not same(spec(gpus=gpus), of_docker())


@pytest.mark.parametrize(
    ("engine", "gpus", "words"),
    [
        ("docker", ["all"], ["--gpus", "all"]),
        ("docker", ["0", "1"], ["--gpus", '"device=0,1"']),
        ("podman", ["all"], ["--device", "nvidia.com/gpu=all"]),
        ("podman", ["0", "1"], ["--device", "nvidia.com/gpu=0", "--device", "nvidia.com/gpu=1"]),
    ],
)
def test_gpus_are_asked_for_in_the_engines_own_way(engine: str, gpus: list[str], words: list[str]) -> None:
    argv = settings.create_argv(spec(gpus=gpus), "web", None, engine)
    at = argv.index(words[0])
    assert argv[at : at + len(words)] == words


def test_a_volume_that_the_image_asks_for_is_no_difference_and_another_is() -> None:
    own = {"Type": "volume", "Name": "a" * 64, "Source": "/x", "Destination": "/var/lib/data", "RW": True}
    container = of_docker()
    container["Mounts"] = [own]
    assert same(spec(), container)
    container["Mounts"] = [{**own, "Destination": "/elsewhere"}]
    assert not same(spec(), container)


def test_a_network_that_the_container_has_joined_is_the_one_whatever_the_mode_is_called() -> None:
    container = of_docker(NetworkMode="bridge")
    container["NetworkSettings"] = {"Networks": {"lab": {}}}
    assert same(spec(network="lab"), container)
    assert not same(spec(network="other"), container)


def test_ports_on_every_address_are_the_same_however_that_is_written() -> None:
    port = Port(address=None, port=8000, target=80, protocol="tcp")
    for address in ("", "0.0.0.0", "::"):
        bindings = {"80/tcp": [{"HostIp": address, "HostPort": "8000"}], "81/tcp": None}
        assert same(spec(ports=[port]), of_docker(PortBindings=bindings))
    assert not same(spec(ports=[port]), of_docker())


def test_only_variables_that_were_declared_count() -> None:
    """What the image, the engine, its proxy settings and GPUs bring is none of our business."""
    container = of_docker()
    container["Config"]["Env"] += ["HTTPS_PROXY=http://proxy", "NVIDIA_VISIBLE_DEVICES=void", "LEFT=secret"]
    assert settings.observed_env(spec(), container) == {}
    container["Config"]["Labels"]["provision.env"] = "LEFT PATH"
    found = settings.observed_env(spec(), container)
    assert found == {"LEFT": "set", "PATH": "set"}
    assert settings.declared_env(spec(), found) == {"LEFT": None, "PATH": None}


def test_a_secret_that_is_missing_differs_and_an_empty_value_is_a_value() -> None:
    declared = spec(env={"KEY": "", "EMPTY": ""}, secrets=["KEY"])
    assert settings.observed_env(declared, of_docker()) == {"KEY": "something else"}
