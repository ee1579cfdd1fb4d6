"""Runs inside a Python environment, not as the host side: pip, uv, or a model's download, tied to its parent.

The Python gets this file as text, since a host keeps no sources, and then what to do:

    <environment>/bin/python -I -c <text> pip install ...
    <environment>/bin/python -I -c <text> default-index
    <environment>/bin/python -I -c <text> doubtful  < wheels.json
    <environment>/bin/python -I -c <text> idle      < requirements.json
    <environment>/bin/python -I -c <text> uv        < request.json
    <environment>/bin/python -I -c <text> download  < request.json

What it writes can be read by every user, whatever the login's umask. It ends when the process that started
it has ended, so that no download goes on that nobody watches.
"""

import glob
import json
import os
import re
import shutil
import signal
import sys
import threading
import time
from typing import Any, Dict, List, Optional

MARK = "provision-download:"
"""The beginning of the one line of a download's output that is meant for the host side."""

STEP = 1 << 20
"""Bytes that are written at a time."""


def command(environment: str, *arguments: str) -> List[str]:
    """Return the command line that does this inside an environment: the host side uses this function."""
    return command_of(os.path.join(environment, "bin", "python"), *arguments)


def command_of(python: str, *arguments: str) -> List[str]:
    """Return the command line that does this with a Python: a host has this source in no file of its own."""
    source: str = __loader__.get_source(__name__)  # type: ignore[name-defined]
    return [python, "-I", "-c", source, *arguments]


def main() -> None:
    """Do what the first argument says."""
    os.umask(0o022)
    follow_parent()
    what = sys.argv[1]
    if what == "pip":
        import runpy

        sys.argv = ["pip", *sys.argv[2:]]
        runpy.run_module("pip", run_name="__main__", alter_sys=True)
    elif what == "default-index":
        from pip._internal.models.index import PyPI  # nowhere public, and the same since pip 10

        print(PyPI.simple_url)
    elif what == "doubtful":
        print(json.dumps(doubtful(json.load(sys.stdin))))
    elif what == "idle":
        print(json.dumps(idle(json.load(sys.stdin))))
    elif what == "uv":
        become_uv(json.load(sys.stdin))
    elif what == "download":
        sys.exit(download(json.load(sys.stdin)))


def doubtful(packages: Dict[str, List[List[str]]]) -> List[str]:
    """Return the packages of which pip would not take a wheel of the same name from every index.

    `packages` has for each package, by index, the names of its wheels of one version.
    """
    from pip._vendor.packaging.tags import sys_tags
    from pip._vendor.packaging.utils import parse_wheel_filename

    rank = {tag: place for place, tag in enumerate(sys_tags())}

    def best(wheels: List[str]) -> Optional[str]:
        fitting = []
        for wheel in wheels:
            _, _, build, tags = parse_wheel_filename(wheel)
            places = [rank[tag] for tag in tags if tag in rank]
            if build:
                return None  # the tags alone do not tell which of two builds wins
            if places:
                fitting.append((min(places), wheel))
        return min(fitting)[1] if fitting else None

    chosen = {name: {best(wheels) for wheels in indexes} for name, indexes in packages.items()}
    return [name for name, wheels in chosen.items() if len(wheels) != 1 or None in wheels]


def idle(requirements: List[str]) -> List[str]:
    """Return the requirements whose environment marker does not hold for this Python."""
    from pip._vendor.packaging.requirements import Requirement

    marked = [(raw, Requirement(raw).marker) for raw in requirements]
    return [raw for raw, marker in marked if marker is not None and not marker.evaluate({"extra": ""})]


def become_uv(request: Dict[str, Any]) -> None:
    """Become uv, with no settings but the given ones: pip's count on this host, not uv's own."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("UV_")}
    env.update(UV_NO_CONFIG="1", UV_NO_PROGRESS="1", UV_PYTHON_DOWNLOADS="never", **request["env"])
    os.execve(request["argv"][0], request["argv"], env)


def follow_parent() -> None:
    """End with the parent, even when that is killed."""
    import ctypes  # here, as the host side imports this module for what it says, not for what it does

    parent = os.getppid()
    try:
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
    except (OSError, AttributeError):
        pass

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


def download(request: Dict[str, Any]) -> int:
    """Fetch files of a model by the hub's own library; print how it ended."""
    from inspect import signature

    try:
        if request["source"] == "modelscope":
            from modelscope.hub.snapshot_download import snapshot_download  # type: ignore[import-not-found]
        else:
            from huggingface_hub import constants, snapshot_download  # type: ignore[import-not-found]

            # With its steps of 10 MB a slow line shows no progress for a long time, and a cut loses more.
            if hasattr(constants, "DOWNLOAD_CHUNK_SIZE"):
                constants.DOWNLOAD_CHUNK_SIZE = STEP
            resume_huggingface()
    except ImportError as error:
        return report(error, kind="import")
    wanted = {
        "revision": request["revision"],
        "local_dir": request["path"],
        "allow_patterns": request["allow"] or None,
        "ignore_patterns": request["ignore"] or None,
        "max_workers": request["workers"],
        "endpoint": request["endpoint"],
        "token": os.environ.get("PROVISION_HUB_TOKEN"),
    }
    known = signature(snapshot_download).parameters
    older = {"allow_patterns": "allow_file_pattern", "ignore_patterns": "ignore_file_pattern"}
    named = {name if name in known else older.get(name, name): value for name, value in wanted.items()}
    given = {name: value for name, value in named.items() if name in known and value is not None}
    if "local_dir" not in known:
        return report(RuntimeError("it cannot download into a directory of our choice"), kind="old")
    try:
        snapshot_download(request["repo"], **given)
    except BaseException as error:
        return report(error)
    return 0


def resume_huggingface() -> None:
    """Let huggingface_hub go on with what an earlier process has left of a file.

    In newer releases each process downloads into a file of its own, and starts again, because two processes
    might share a directory whose locks do not work. Here one process at a time downloads, and every hash is
    checked afterwards, so the rest of the file is enough. A library that is built differently is not changed.
    """
    from inspect import signature

    from huggingface_hub import file_download

    original = getattr(file_download, "http_get", None)
    if original is None or "resume_size" not in signature(original).parameters:
        return

    def http_get(url: str, temp_file: Any, **options: Any) -> Any:
        own = re.fullmatch(r"(.*)\.[0-9a-f]{8}\.incomplete", temp_file.name)
        if own is None or options.get("resume_size"):
            return original(url, temp_file, **options)
        for other in sorted(glob.glob(glob.escape(own.group(1)) + ".*.incomplete"), key=os.path.getsize):
            if other != temp_file.name:
                if os.path.getsize(other) <= (options.get("expected_size") or 0):
                    with open(other, "rb") as arrived:
                        temp_file.seek(0)
                        shutil.copyfileobj(arrived, temp_file, STEP)
                        options["resume_size"] = temp_file.tell()
                os.unlink(other)
        try:
            return original(url, temp_file, **options)
        except BaseException:
            temp_file.flush()
            os.link(temp_file.name, own.group(1) + ".00000000.incomplete")  # the library deletes its own
            raise

    file_download.http_get = http_get


def report(error: BaseException, kind: Optional[str] = None) -> int:
    """Print an error for the host side to explain, with the exceptions that led to it."""
    chain: List[Dict[str, Any]] = []
    seen = set()
    waiting: List[Optional[BaseException]] = [error]
    while waiting:
        current = waiting.pop(0)
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        response = getattr(current, "response", None)
        chain.append(
            {
                "class": type(current).__name__,
                "text": str(current),
                "errno": getattr(current, "errno", None),
                "status": getattr(current, "status_code", None) or getattr(response, "status_code", None),
            }
        )
        failed = getattr(current, "failed_files", None)
        if isinstance(failed, dict):
            waiting.extend(failed.values())
        waiting.extend([current.__cause__, current.__context__])
    print("\n" + MARK + json.dumps({"kind": kind, "chain": chain}), flush=True)
    return 1


if __name__ == "__main__":
    main()
