"""A bill of materials of one host in CycloneDX 1.6, from what the host tells."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from provision import __version__
from provision.lock.entries import bare
from provision.wire.specs.apt import LockedPackages
from provision.wire.specs.container import ContainerSpec, LockedImage
from provision.wire.specs.environment import LockedEnvironment
from provision.wire.specs.model import LockedModel, ModelSpec

if TYPE_CHECKING:
    from provision.catalog.catalog import Catalog
    from provision.wire.events import Facts
    from provision.wire.spec import Spec
    from provision.wire.taken import Taken

Json = dict[str, Any]

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
"""What Debian and container engines call a machine."""


def bom(catalog: Catalog, taken: Sequence[Taken], facts: Facts | None, now: str) -> Json:
    """Return the document of a host.

    Args:
        catalog: what the host is to have.
        taken: what it told.
        facts: of the host.
        now: the time, as ISO 8601 in UTC.
    """
    specs = {each.id: each.spec for each in catalog.resources}
    components = [each for one in taken for each in _components(one, specs[one.id])]
    host: Json = {"type": "device", "bom-ref": "host", "name": catalog.host.name}
    if facts:
        host["properties"] = [_property("os", facts.os), _property("machine", facts.arch)]
    content = json.dumps([host, components], sort_keys=True)
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        # The same for the same content, so that a store of such documents knows what it has.
        "serialNumber": uuid.uuid5(uuid.NAMESPACE_URL, f"provision:{content}").urn,
        "version": 1,
        "metadata": {
            "timestamp": now,
            "tools": {"components": [{"type": "application", "name": "provision", "version": __version__}]},
            "component": host,
        },
        "components": components,
        "dependencies": [{"ref": "host", "dependsOn": [each["bom-ref"] for each in components]}],
    }


def _components(taken: Taken, spec: Spec) -> Iterator[Json]:
    match taken.found:
        case LockedEnvironment() as found:
            for pin in found.packages:
                yield {
                    "type": "library",
                    "bom-ref": f"{taken.id}/{pin.name}",
                    "name": pin.name,
                    "version": pin.version,
                    "purl": f"pkg:pypi/{pin.name}@{_quoted(pin.version)}",
                    # Of one installed file, so only where one file alone is possible.
                    **(_hashes(pin.sha256[0]) if len(pin.sha256) == 1 else {}),
                    "properties": [
                        _property("environment", taken.id.partition(":")[2]),
                        _property("python", found.python),
                        *([_property("commit", pin.commit)] if pin.commit else []),
                    ],
                }
        case LockedPackages() as found:
            for name, version in found.versions.items():
                if version:
                    yield _package(taken, found, name, version)
        case LockedModel() as found if isinstance(spec, ModelSpec):
            yield _model(taken, found, spec)
        case LockedImage() as found if isinstance(spec, ContainerSpec):
            yield _image(taken, found, spec)


def _package(taken: Taken, found: LockedPackages, name: str, version: str) -> Json:
    distribution, _, release = found.system.partition(" ")
    architecture = ARCHITECTURES.get(found.machine, found.machine)
    where = f"arch={architecture}&distro={quote(f'{distribution}-{release}')}"
    return {
        "type": "library",
        "bom-ref": f"{taken.id}/{name}",
        "name": name,
        "version": version,
        "purl": f"pkg:deb/{distribution}/{name}@{_quoted(version)}?{where}",
    }


def _model(taken: Taken, found: LockedModel, spec: ModelSpec) -> Json:
    version = found.commit or spec.revision
    owner, _, name = spec.repo.rpartition("/")
    purl = f"pkg:huggingface/{quote(spec.repo)}@{_quoted(version)}"
    return {
        "type": "machine-learning-model",
        "bom-ref": taken.id,
        **({"group": owner} if owner else {}),
        "name": name,
        "version": version,
        **({"purl": purl} if spec.source == "huggingface" else {}),
        "properties": [_property("source", spec.source), _property("revision", spec.revision)],
        "components": [
            {"type": "file", "bom-ref": f"{taken.id}/{path}", "name": path, **_hashes(sha256)}
            for path, sha256 in found.files.items()
        ],
    }


def _image(taken: Taken, found: LockedImage, spec: ContainerSpec) -> Json:
    name, _, tag = bare(spec.image).partition("@")[0].partition(":")
    digest = next(iter(found.digests), found.id)
    where = f"?arch={ARCHITECTURES.get(found.machine, found.machine)}" + (f"&tag={quote(tag)}" if tag else "")
    return {
        "type": "container",
        "bom-ref": taken.id,
        "name": name,
        "version": tag or digest,
        "purl": f"pkg:oci/{quote(name.rpartition('/')[2].lower())}@{_quoted(digest)}{where}",
        **_hashes(digest.removeprefix("sha256:")),
        "properties": [_property("service", spec.service), _property("image-id", found.id)],
    }


def _hashes(sha256: str) -> Json:
    return {"hashes": [{"alg": "SHA-256", "content": sha256}]}


def _property(name: str, value: str) -> Json:
    return {"name": f"provision:{name}", "value": value}


def _quoted(version: str) -> str:
    return quote(version, safe=":")
