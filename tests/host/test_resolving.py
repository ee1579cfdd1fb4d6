"""What the real uv, fetched from the real index, says of packages before they are installed."""

from __future__ import annotations

import os
import shutil
import tarfile
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from provision.host.preflight import driver
from provision.host.python import pip_files, uv_wheel
from tests.host import package_index
from tests.host.test_preflight import CLOSED, Bench, environment
from tests.host.wheels import wheel


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Uv, fetched as a host without pip fetches it."""
    directory = tmp_path_factory.mktemp("uv")
    found = uv_wheel.fetch(pip_files.read("/nowhere", os.environ), os.environ, str(directory))
    assert found is not None
    assert os.listdir(directory) == ["uv"]
    return Path(found)


@pytest.fixture
def bench(tmp_path: Path, program: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A host with a driver for CUDA 12, whose index has PyTorch for CUDA 12 and 13."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    told = tmp_path / "version"
    told.write_text(CLOSED.format("570.86.10"))
    monkeypatch.setattr(driver, "VERSION", str(told))
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    wheel(wheels, "torch", "2.15.0", ("nvidia-cuda-runtime==13.2.86",))
    wheel(wheels, "torch", "2.10.0", ("nvidia-cuda-runtime-cu12==12.8.90",))
    wheel(wheels, "torch", "2.4.0+cpu")
    wheel(wheels, "nvidia-cuda-runtime", "0.0.1")  # as the first of this name on PyPI
    wheel(wheels, "nvidia-cuda-runtime", "13.2.86")
    wheel(wheels, "nvidia-cuda-runtime-cu12", "12.8.90")
    wheel(wheels, "nvidia-nvjitlink-cu13", "1.0")
    wheel(wheels, "demo-models", "1.0", ("torch>=2.4",))
    wheel(wheels, "demo-speech", "1.0", ("demo-source", "torch"))
    wheel(wheels, "demo-arrays", "1.0", ("nvidia-nvjitlink-cu13",))
    wheel(wheels, "demo-plain", "1.0")
    wheel(wheels, "demo-python", "1.0", tag="cp27-cp27m-any")
    wheel(wheels, "demo-glibc", "1.0", tag=f"py3-none-manylinux_2_99_{os.uname().machine}")
    wheel(wheels, "demo-machine", "1.0", tag="py3-none-manylinux_2_17_s390x")
    _source(wheels)
    state = tmp_path / "state" / "uv" / "bin"
    state.mkdir(parents=True)
    shutil.copy2(program, state / "uv")
    return Bench(tmp_path)


def _source(directory: Path) -> None:
    """Write a package that has no wheel, and that leaves a trace if its code is run."""
    setup = (
        f"open({str(directory / 'was-run')!r}, 'w'); import setuptools; setuptools.setup(name='demo-source')"
    )
    with tarfile.open(directory / "demo_source-1.0.tar.gz", "w:gz") as archive:
        info = tarfile.TarInfo("demo_source-1.0/setup.py")
        info.size = len(setup)
        archive.addfile(info, BytesIO(setup.encode()))


def wanted(bench: Bench, *packages: str, **more: Any) -> dict[str, Any]:
    places = {"index_url": "file:///nonexistent/simple", "find_links": [str(bench.root / "wheels")]}
    return environment(bench.root / "e", *packages, **{**places, **more})


def told(bench: Bench, *packages: str, **more: Any) -> list[dict[str, Any]]:
    """Return what a plan finds."""
    bench.run("inspect", wanted(bench, *packages, **more))
    found = [event["finding"] for event in bench.events if event["event"] == "note"]
    return [each for each in found if each["code"] not in ("index-unreachable", "disk-full")]


def test_torch_that_comes_with_another_package_is_seen(bench: Bench) -> None:
    ((finding),) = told(bench, "demo-plain", "demo-models")
    assert (finding["code"], finding["severity"]) == ("driver-too-old", "error")
    assert finding["message"] == (
        "environment e: torch 2.15.0 is built for CUDA 13.2, which needs driver 580.65.06 or newer; "
        "this host has 570.86.10"
    )
    assert finding["hint"] == (
        "install a newer driver, or pin torch==2.10.0, the newest release for a CUDA that it runs (12.8)"
    )
    assert told(bench, "demo-models", "torch==2.10.0") == []
    assert told(bench, "demo-plain") == []


def test_the_release_that_is_asked_for_is_the_place(bench: Bench) -> None:
    (finding,) = told(bench, "demo-plain", "torch==2.15.0")
    assert finding["where"] == "packages/1"
    assert "or pin torch==2.10.0" in finding["hint"]
    (finding,) = told(bench, "demo-arrays")
    assert "nvidia-cuda-runtime 13 is built for CUDA 13, which needs" in finding["message"]


def test_a_build_without_cuda_needs_no_driver(bench: Bench) -> None:
    assert told(bench, "torch==2.4.0+cpu", "demo-models") == []


def test_no_code_of_a_package_is_run(bench: Bench) -> None:
    (finding,) = told(bench, "demo-speech", "demo-source")
    assert "torch 2.15.0 is built for CUDA 13.2" in finding["message"]
    assert not (bench.root / "wheels" / "was-run").exists()


@pytest.mark.parametrize(
    ("packages", "more", "said", "where"),
    [
        (["demo-plain", "torch==2.99"], {}, "there is no version of torch==2.99", "packages/1"),
        (["torch==2.10.0", "demo-models"], {"constraints": ["torch>2.10"]}, "torch", "packages/0"),
        (["demo-plain", "demo-python"], {}, "demo-python==1.0 has no wheels with a matching", "packages/1"),
        (["demo-glibc"], {}, "demo-glibc==1.0 has no wheels with a matching platform tag", "packages/0"),
        (["demo-machine"], {}, "demo-machine==1.0 has no wheels with a matching platform tag", "packages/0"),
        (["demo-nothing"], {}, "demo-nothing was not found in the package registry", "packages/0"),
    ],
)
def test_packages_that_cannot_be_had_stop_everything(
    bench: Bench, packages: list[str], more: dict[str, Any], said: str, where: str
) -> None:
    (finding,) = told(bench, *packages, **more)
    assert finding["code"] == "unresolvable-packages"
    assert finding["message"].startswith("environment e: its packages cannot be installed here: Because ")
    assert said in finding["message"]
    assert finding["where"] == where
    assert not bench.run("apply", bench.directory(), wanted(bench, *packages, **more))
    assert not (bench.root / "changed").exists()


def test_an_index_that_does_not_answer_says_nothing_of_packages(bench: Bench) -> None:
    assert told(bench, "demo-nothing", index_url="http://127.0.0.1:1/simple") == []
    assert ("index-unreachable", "error") in bench.found()


def test_what_is_there_already_stays(bench: Bench) -> None:
    assert bench.run("apply", wanted(bench, "torch==2.10.0"))
    assert bench.found() == []
    assert told(bench, "torch", "demo-models") == []


def test_nothing_is_left_behind(bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    assert told(bench, "demo-models")
    assert os.listdir(place) == []


# -- uv without pip ------------------------------------------------------------------------------------------


def _uv(directory: Path, version: str, tag: str) -> Path:
    path = directory / f"uv-{version}-py3-none-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"uv-{version}.data/scripts/uv", f"#!/bin/sh\necho {version}\n")
    return path


def _fetched(directory: Path, url: str, **more: str) -> str | None:
    directory.mkdir(exist_ok=True)
    configuration = {"index-url": url, **{key.replace("_", "-"): value for key, value in more.items()}}
    path = uv_wheel.fetch(configuration, {"NETRC": os.devnull}, str(directory))
    return Path(path).read_text().split()[-1] if path else None


def test_the_newest_uv_for_this_machine_is_fetched(tmp_path: Path) -> None:
    made, machine = tmp_path / "made", os.uname().machine
    made.mkdir()
    here = f"manylinux_2_17_{machine}.manylinux2014_{machine}"
    wheels = [
        _uv(made, "0.9.1", here),
        _uv(made, "0.13.9", here),
        _uv(made, "0.14.0", f"manylinux_2_99_{machine}"),
        _uv(made, "0.15.0", "manylinux_2_17_s390x"),
        _uv(made, "0.16.0", f"musllinux_1_1_{machine}"),
        _uv(made, "0.17.0", "win_amd64"),
    ]
    index = package_index.simple(tmp_path / "index", *wheels)
    with package_index.serve(index, password="sesame") as served:
        url = f"http://me:sesame@127.0.0.1:{served.port}/"
        assert _fetched(tmp_path / "a", url) == "0.13.9"
        assert _fetched(tmp_path / "b", f"http://me:wrong@127.0.0.1:{served.port}/") is None
        assert _fetched(tmp_path / "c", url, no_index="true") is None
    assert _fetched(tmp_path / "d", f"file://{index}") == "0.13.9"
    assert _fetched(tmp_path / "e", "http://127.0.0.1:1/", find_links=str(made)) == "0.13.9"


def test_a_damaged_or_too_old_uv_is_not_used(tmp_path: Path) -> None:
    machine = os.uname().machine
    made = _uv(tmp_path, "0.9.1", f"manylinux_2_17_{machine}")
    index = package_index.simple(tmp_path / "index", made)
    page = index / "uv" / "index.html"
    page.write_text(f'<a href="{made.name}#sha256={"0" * 64}">{made.name}</a>')
    with pytest.raises(OSError, match="is damaged"):
        _fetched(tmp_path / "a", f"file://{index}")
    page.write_text(f'<a href="{made.name}" data-yanked="">{made.name}</a>')
    assert _fetched(tmp_path / "b", f"file://{index}") is None
    (tmp_path / "old").mkdir()
    old = _uv(tmp_path / "old", "0.7.0", f"manylinux_2_17_{machine}")
    assert _fetched(tmp_path / "c", f"file://{package_index.simple(tmp_path / 'i', old)}") is None
