"""Known failures of docker and podman."""

from __future__ import annotations

from typing import Sequence

from provision.host.services.failures.known.known import Known

CODE = "container-engine"

_ADVICE = {
    r"could not select device driver .*gpu|unknown or invalid runtime name: nvidia": "install the NVIDIA "
    "Container Toolkit on the host, or leave `gpus` out",
    r"CDI device|nvidia\.com/gpu": "install the NVIDIA Container Toolkit on the host and run "
    "`nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml`",
    r"short-name .* did not resolve|no unqualified-search registries": "write the whole name, such as "
    "docker.io/library/nginx:1.29",
    r"unauthorized|authentication required|access .*denied": "log in to the registry on the host, or correct "
    "`image:`",
    r"manifest unknown|manifest for .* not found|name unknown|does not exist": "correct `image:`",
    r"no such host|dial tcp|i/o timeout|connection refused|network is unreachable|name resolution": "a host "
    "that cannot reach the registry can load the image from an `archive:`",
    r"payload does not match|invalid tar header|not a valid .*archive|unrecognized image format": "an image "
    "archive is what `docker save` or `podman save` writes",
    r"address already in use|port is already allocated": "stop what listens there, or publish another port",
    r"catatonit|container-init binary|docker-init": "install catatonit on the host, or leave `init` out",
    r"(?:unknown|invalid) runtime|could not find runtime|default OCI runtime .* not found": "install that "
    "runtime on the host and make it known to the engine, or correct `runtime`",
    r"error gathering device information|stat /dev/\S+: no such file|no such device": "the host has no such "
    "device: install its driver, or correct `devices`",
    r"no space left on device": "make room on the host: the engine keeps images and containers there",
}

KNOWN: Sequence[Known] = (
    Known(
        CODE,
        r"permission denied while trying to connect to the docker",
        "set `become: true` on the host, or add the user to the group docker",
        message="this user may not use docker",
    ),
    Known(
        CODE,
        r"(?:cannot|failed to) connect to the docker|is the docker daemon running",
        "start it (systemctl start docker), or set `engine: podman`",
        message="docker's daemon does not answer",
    ),
    *(Known(CODE, pattern, advice) for pattern, advice in _ADVICE.items()),
)
