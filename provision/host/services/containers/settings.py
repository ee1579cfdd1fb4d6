"""A container's declaration, what `inspect` says of it, and the command line that makes it.

Nothing here asks the engine. docker and podman, and docker's client on podman's socket, say the same thing in
slightly different words; here these are made equal.

Keys whose value is None are the engine's or the image's default. They are:

    command   list of words; None: the image's
    env       name -> value; secrets as "as declared" or "something else"
    ports     ["127.0.0.1:8000:80/tcp"], host first
    mounts    ["/data/model:/models:ro"]
    network, user, ipc, shm_size (bytes), init, gpus ("all" or "0,1"), restart
    entrypoint and the fields of EngineOptions, as declared
"""

from __future__ import annotations

import posixpath
from typing import Any, Iterable, Mapping

from provision.host.resource import State
from provision.wire import plainjson
from provision.wire.specs.container import ContainerSpec, EngineOptions, Port, Volume

FLAGS = {
    "devices": "device",
    "ulimits": "ulimit",
    "labels": "label",
    "working_dir": "workdir",
    "extra_hosts": "add-host",
    "mem_limit": "memory",
    "cpuset": "cpuset-cpus",
    "sysctls": "sysctl",
}
"""Those of `EngineOptions` whose flag has another name, the same for both engines."""

OPTIONS = ("network", "user", "ipc", "shm_size", "init")

CREATION = (
    "image",
    "command",
    "env",
    "ports",
    "mounts",
    "gpus",
    "entrypoint",
    *OPTIONS,
    *EngineOptions.FIELDS,
)
"""Keys that no engine can change without recreating the container."""

SERVICE_LABEL = "provision.service"
"""The label that makes a container ours; its value is the service's name."""

OPTIONS_LABEL = "provision.options"
"""Which of `OPTIONS` the container was made with: `inspect` does not tell them from an engine's defaults."""

GPUS_LABEL = "provision.gpus"
IPC_LABEL = "provision.ipc"
# What the container was made with and podman does not tell: it does not list CDI devices, and 4.3 says
# "shareable" whatever was asked for.

MADE_WITH = "provision.made-with"
"""The entrypoint and the `options` that it was made with, as JSON. Engines tell them in many forms, mixed
with those of the image, of the engine's configuration and of its drivers.
"""

ENV_LABEL = "provision.env"
"""The names of the variables it was made with: engines, images, proxies and GPUs (CDI) add others."""

EVERYWHERE = ("", "0.0.0.0", "::", None)

SECRET = "as declared"


def declared(spec: ContainerSpec) -> State:
    """Return the declared state of all keys but `image` and `env`."""
    ports = [_port(each.address, each.port, each.target, each.protocol) for each in _published(spec)]
    mounts = [_mount(each.source, each.target, each.read_only) for each in spec.volumes]
    return {
        "command": _command(spec),
        "ports": sorted(ports) or None,
        "mounts": sorted(mounts) or None,
        "network": spec.network,
        "user": spec.user,
        "ipc": spec.ipc,
        "shm_size": spec.shm_size,
        "init": True if spec.init else None,
        "gpus": _in_order(spec.gpus or []) or None,
        "restart": spec.restart,
        **_made_with(spec),
    }


def declared_env(spec: ContainerSpec, found: Mapping[str, str]) -> dict[str, str | None] | None:
    """Return the declared variables, secrets without their values; other variables found must be absent."""
    env: dict[str, str | None] = dict.fromkeys(name for name in sorted(found) if name not in spec.env)
    env.update({name: SECRET if name in spec.secrets else value for name, value in spec.env.items()})
    return env or None


def observed(spec: ContainerSpec, container: Mapping[str, Any], image: Mapping[str, Any] | None) -> State:
    """Return the state of a container under the keys of `declared`, which decides what counts as a default.

    `container` and `image` are what `inspect` says; None for an image that is not there any more.
    """
    config, host = container["Config"], container["HostConfig"]
    labels = config.get("Labels") or {}
    command = list(config.get("Cmd") or [])
    default = list(((image or {}).get("Config") or {}).get("Cmd") or [])
    options = {
        "network": _network(spec.network, container),
        "user": config.get("User") or None,
        "ipc": labels.get(IPC_LABEL) or host.get("IpcMode") or None,
        "shm_size": host.get("ShmSize"),
        "init": _has_init(container) or None,
    }
    chosen = labels.get(OPTIONS_LABEL, "").split()
    made = dict.fromkeys(("entrypoint", *EngineOptions.FIELDS))
    made.update(plainjson.loads(labels.get(MADE_WITH) or "{}"))
    if made["entrypoint"] is not None:
        default = []  # an engine drops the image's command together with its entrypoint
    # The engine may have been told to change these since.
    made.update({key: found for key, found in _limits(host).items() if made[key] is not None and found})
    return {
        **made,
        "command": None if _command(spec) is None and command == default else command,
        "ports": sorted(_bindings(host.get("PortBindings") or {})) or None,
        "mounts": sorted(_mounts(container, image)) or None,
        "gpus": _found_gpus(container, labels),
        "restart": (host.get("RestartPolicy") or {}).get("Name") or "no",
        **{key: value if getattr(spec, key) or key in chosen else None for key, value in options.items()},
    }


def _limits(host: Mapping[str, Any]) -> dict[str, Any]:
    """Return the limits that `docker update` and `podman update` change in place, in our keys."""
    quota, period = host.get("CpuQuota") or 0, host.get("CpuPeriod") or 100000
    cpus = (host.get("NanoCpus") or 0) / 1e9 or (quota / period if quota > 0 else 0)
    return {
        "mem_limit": host.get("Memory"),
        "cpus": cpus,
        "cpuset": host.get("CpusetCpus"),
        "pids_limit": host.get("PidsLimit"),
    }


def observed_env(spec: ContainerSpec, container: Mapping[str, Any]) -> dict[str, str]:
    """Return the declared variables as they are found, and those that were declared when it was made.

    The value of a secret is only compared. A variable that is not declared any more is returned without its
    value, since it may have been a secret.
    """
    config = container["Config"]
    actual = dict(line.partition("=")[::2] for line in config.get("Env") or [])
    state = dict.fromkeys(((config.get("Labels") or {}).get(ENV_LABEL) or "").split(), "set")
    for name, value in spec.env.items():
        if name in spec.secrets:
            state[name] = SECRET if actual.get(name) == value else "something else"
        elif name in actual:
            state[name] = actual[name]
    return state


def create_argv(spec: ContainerSpec, name: str, env_file: str | None, engine: str) -> list[str]:
    """Return the arguments of `docker` or `podman` that create the container.

    The values of its variables are in `env_file`, lines of `NAME=value`, which is None without variables.
    """
    # podman has the runtime as an option of its own, before the verb.
    runtime = ["--runtime", spec.options.runtime] if spec.options.runtime and engine == "podman" else []
    argv = [*runtime, "create", "--name", name, "--pull", "never"]
    argv += ["--label", f"{SERVICE_LABEL}={spec.service}", "--restart", spec.restart]
    if env_file:
        argv += ["--env-file", env_file, "--label", f"{ENV_LABEL}={' '.join(spec.env)}"]
    for port in _published(spec):
        argv += ["--publish", _port(port.address, port.port, port.target, port.protocol, explicit=False)]
    for volume in spec.volumes:
        argv += ["--volume", _volume(volume)]
    chosen = {key: value for key in OPTIONS if (value := getattr(spec, key))}
    for key, value in chosen.items():
        flag = "--" + key.replace("_", "-")
        argv += [flag] if value is True else [flag, str(value)]
    if chosen:
        argv += ["--label", f"{OPTIONS_LABEL}={' '.join(chosen)}"]
    if spec.ipc:
        argv += ["--label", f"{IPC_LABEL}={spec.ipc}"]
    if spec.gpus:
        gpus = _in_order(spec.gpus)
        argv += [*_gpu_argv(gpus, engine), "--label", f"{GPUS_LABEL}={gpus}"]
    for key, value in spec.options.plain().items():
        if value is not None and not (key == "runtime" and runtime):
            argv += _flag("--" + FLAGS.get(key, key.replace("_", "-")), value)
    made = {key: value for key, value in _made_with(spec).items() if value is not None}
    if made:
        argv += ["--label", f"{MADE_WITH}={plainjson.dumps(made)}"]
    if spec.entrypoint is not None:
        argv += ["--entrypoint", spec.entrypoint[0] if spec.entrypoint else ""]
    return [*argv, spec.image, *(_command(spec) or [])]


def _flag(flag: str, value: Any) -> list[str]:
    if value is True:
        return [flag]
    values = value if isinstance(value, list) else [value]
    # In one word: a value such as `-1` is no flag.
    return [f"{flag}={each}" for each in values]


def with_variables(spec: ContainerSpec, lines: Iterable[str]) -> ContainerSpec:
    """Return a spec with the variables of env files, which may be secrets; its own variables win."""
    parts = [line.lstrip().partition("=") for line in lines]
    found = {name: value for name, equals, value in parts if equals and name and not name.startswith("#")}
    added = {name: value for name, value in found.items() if name not in spec.env}
    return spec.replace(env={**added, **spec.env}, secrets=[*spec.secrets, *added])


def env_lines(spec: ContainerSpec) -> str:
    """Return the content of the env file: docker and podman take a value as it stands, to the line's end."""
    return "".join(f"{name}={value}\n" for name, value in spec.env.items())


# -- the declaration --------------------------------------------------------------------------------------


def _made_with(spec: ContainerSpec) -> dict[str, Any]:
    """Return entrypoint and options under the keys of a state."""
    return {"entrypoint": spec.entrypoint, **spec.options.plain()}


def _command(spec: ContainerSpec) -> list[str] | None:
    """Return the command as the engine keeps it: its entrypoint is one word, and the others come before."""
    if spec.entrypoint is None:
        return spec.command
    return [*spec.entrypoint[1:], *(spec.command or [])] or None


def _published(spec: ContainerSpec) -> list[Port]:
    """Return the ports to publish: a container in the host's network has them without."""
    return [] if spec.network == "host" else spec.ports


def _port(address: str | None, port: int, target: int, protocol: str, explicit: bool = True) -> str:
    everywhere = address in EVERYWHERE
    at = "*" if everywhere else f"[{address}]" if ":" in str(address) else str(address)
    return f"{at + ':' if explicit or not everywhere else ''}{port}:{target}/{protocol}"


def _mount(source: str, target: str, read_only: bool) -> str:
    source = posixpath.normpath(source) if source.startswith("/") else source
    return f"{source}:{posixpath.normpath(target)}{':ro' if read_only else ''}"


def _volume(volume: Volume) -> str:
    options = [option for option in ("ro" if volume.read_only else None, volume.label) if option]
    return ":".join([volume.source, volume.target, *([",".join(options)] if options else [])])


def _in_order(gpus: Iterable[str]) -> str:
    """Return GPUs in one order: engines tell them as texts, in which 10 would come before 9."""
    return ",".join(sorted(gpus, key=lambda gpu: (len(gpu), gpu) if gpu.isdigit() else (99, gpu)))


def _gpu_argv(gpus: str, engine: str) -> list[str]:
    if engine == "docker":
        # The inner quotes are docker's own: it reads the value as one line of CSV.
        return ["--gpus", "all" if gpus == "all" else f'"device={gpus}"']
    return [word for each in gpus.split(",") for word in ("--device", f"nvidia.com/gpu={each}")]


# -- what is found ----------------------------------------------------------------------------------------


def _bindings(bindings: Mapping[str, Any]) -> list[str]:
    found = []
    for target, published in bindings.items():
        port, _, protocol = target.partition("/")
        for binding in published or []:
            if binding.get("HostPort"):
                found.append(_port(binding.get("HostIp"), int(binding["HostPort"]), int(port), protocol))
    return found


def _mounts(container: Mapping[str, Any], image: Mapping[str, Any] | None) -> list[str]:
    """Return the mounts, without those volumes that the image asks for by itself."""
    own = ((image or {}).get("Config") or {}).get("Volumes") or {}
    mounts = []
    for mount in container.get("Mounts") or []:
        kind, target = mount["Type"], mount["Destination"]
        source = mount[{"bind": "Source", "volume": "Name"}.get(kind, "Type")]
        anonymous = kind == "volume" and len(source) == 64 and set(source) <= set("0123456789abcdef")
        if not (anonymous and target in own):
            mounts.append(_mount(source, target, not mount.get("RW", True)))
    return mounts


def _network(wanted: str | None, container: Mapping[str, Any]) -> str:
    mode = container["HostConfig"].get("NetworkMode") or "default"
    networks = (container.get("NetworkSettings") or {}).get("Networks") or {}
    if wanted and wanted in (mode, *networks):
        return wanted
    return ", ".join(sorted(networks)) or str(mode)


def _has_init(container: Mapping[str, Any]) -> bool:
    """Whether an init of the engine is PID 1: docker says so in one place, podman in another."""
    annotations = container["Config"].get("Annotations") or {}
    return (
        bool(container["HostConfig"].get("Init")) or annotations.get("io.podman.annotations.init") == "TRUE"
    )


def _found_gpus(container: Mapping[str, Any], labels: Mapping[str, str]) -> str | None:
    for request in container["HostConfig"].get("DeviceRequests") or []:
        if "gpu" in [each for group in request.get("Capabilities") or [] for each in group]:
            ids = request.get("DeviceIDs")
            return _in_order(ids) if ids else "all"
    return labels.get(GPUS_LABEL)
