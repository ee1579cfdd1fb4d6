"""An index of tiny wheels for the real pip, made in a moment."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from pathlib import Path


def wheel(
    directory: Path,
    name: str,
    version: str,
    requires: tuple[str, ...] = (),
    extras: dict[str, list[str]] | None = None,
    files: int = 1,
    modules: dict[str, str] | None = None,
    tag: str = "py3-none-any",
) -> Path:
    """Write a wheel whose module says its version.

    `files` further modules make its installation longer; `modules` are texts by their path in the wheel.
    """
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    metadata = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}"]
    metadata += [f"Requires-Dist: {requirement}" for requirement in requires]
    for extra, needs in (extras or {}).items():
        metadata.append(f"Provides-Extra: {extra}")
        metadata += [f'Requires-Dist: {need}; extra == "{extra}"' for need in needs]
    content = {
        f"{module}/__init__.py": f"version = {version!r}\n",
        **{f"{module}/part{number}.py": f"number = {number}\n" for number in range(files - 1)},
        **(modules or {}),
        f"{info}/METADATA": "\n".join(metadata) + "\n",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    record = []
    for path, text in content.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record.append(f"{path},sha256={digest},{len(text)}")
    content[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,"]) + "\n"
    path = directory / f"{module}-{version}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for inner, text in content.items():
            archive.writestr(inner, text)
    return path


def index(directory: Path) -> Path:
    """Make an index: alpha needs beta, beta needs gamma, beta[more] needs delta; heavy is slow to install."""
    directory.mkdir(parents=True)
    wheel(directory, "demo-alpha", "1.0", ("demo-beta",))
    wheel(directory, "demo-alpha", "2.0", ("demo-beta",))
    wheel(directory, "demo-beta", "1.0", ("demo-gamma",), {"more": ["demo-delta"]})
    wheel(directory, "demo-beta", "1.5", ("demo-gamma",), {"more": ["demo-delta"]})
    wheel(directory, "demo-gamma", "1.0")
    wheel(directory, "demo-delta", "1.0")
    wheel(directory, "demo-heavy", "1.0", files=4000)
    wheel(directory, "demo-clash", "1.0", ("demo-beta<1.2",))
    return directory
