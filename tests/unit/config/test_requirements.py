"""What people write after `pip install`: taken, or refused with the form to use."""

from __future__ import annotations

import re

import pytest
from pydantic_core import PydanticCustomError

from provision.config.requirements import constraint, parse
from tests.unit.config.conftest import Project

WHEEL = "vllm-0.13.0+cu129-cp38-abi3-manylinux1_x86_64.whl"

TAKEN = [
    ("vllm==0.33.0", "vllm", "==0.33.0", None),
    ("Torch_Vision [audio, x] >= 1 ; python_version < '3.12'", "torch-vision", ">=1", None),
    (f"/data/wheels/{WHEEL}", "vllm", "==0.13.0+cu129", f"/data/wheels/{WHEEL}"),
    (f"/data/wheels/{WHEEL}[audio]", "vllm", "==0.13.0+cu129", f"/data/wheels/{WHEEL}"),
    (f"file:///data/{WHEEL}", "vllm", "==0.13.0+cu129", f"file:///data/{WHEEL}"),
    (
        f"https://host.example/{WHEEL.replace('+', '%2B')}",
        "vllm",
        "==0.13.0+cu129",
        f"https://host.example/{WHEEL.replace('+', '%2B')}",
    ),
    (f"vllm @ /data/{WHEEL}", "vllm", "==0.13.0+cu129", f"file:///data/{WHEEL}"),
    ("app @ /src/app", "app", "", "file:///src/app"),
    ("https://host.example/app-1.0.tar.gz", None, "", "https://host.example/app-1.0.tar.gz"),
    ("/data/app-1.0.tar.gz", None, "", "/data/app-1.0.tar.gz"),
    ("git+https://git.example/app.git@v1", None, "", "git+https://git.example/app.git@v1"),
    ("git+ssh://git@git.example/app.git", None, "", "git+ssh://git@git.example/app.git"),
    (
        "app @ git+https://git.example/app.git@v1#subdirectory=x",
        "app",
        "",
        "git+https://git.example/app.git@v1#subdirectory=x",
    ),
    ("-e /src/app/", None, "", "/src/app"),
    ("/src/app/", None, "", "/src/app"),
]


@pytest.mark.parametrize(("raw", "name", "specifier", "url"), TAKEN)
def test_forms_that_are_taken(raw: str, name: str | None, specifier: str, url: str | None) -> None:
    wanted = parse(raw)
    assert (wanted.name, str(wanted.specifier), wanted.url) == (name, specifier, url)
    assert wanted.editable == raw.startswith("-e")
    assert wanted.marker == (";" in raw)


REFUSED = [
    ("-r /srv/app/requirements.txt", "write what the file lists as items of `packages`"),
    ("requirements.txt", "write what the file lists as items of `packages`"),
    ("--requirement=req.txt", "write what the file lists as items"),
    ("-c /srv/c.txt", "write the file into `constraints`"),
    ("--pre", 'name the release, such as "vllm==0.13.0rc1"'),
    ("--index-url https://index.example/simple", "`index_url`"),
    ("-f /wheels", "`find_links`"),
    ("--extra-index-url=https://index.example/simple", "`extra_index_urls`"),
    ("--no-build-isolation", "/etc/pip.conf"),
    ("-e git+https://git.example/app.git", 'write "git+https://git.example/app.git"'),
    ("-e .", 'write "-e /src/app"'),
    ("./wheels/x-1-py3-none-any.whl", "write the whole path on the host"),
    ("wheels/x-1-py3-none-any.whl", "write the whole path on the host"),
    ("~/app", "write the whole path on the host"),
    ("/wheels/*.whl", "without spaces or *"),
    ("/data/vllm.whl", "NAME-VERSION-PYTHON-ABI-PLATFORM.whl"),
    ("vllm==1 --hash=sha256:0", "#sha256="),
    ("vllm=0.13.0", 'did you mean "vllm==0.13.0"?'),
    ("vllm 0.13.0", 'did you mean "vllm==0.13.0"?'),
    ("vllm@0.13.0", 'did you mean "vllm==0.13.0"?'),
    ("vllm modelscope", "[vllm, modelscope]"),
    ("pip install vllm", "write the packages alone"),
    ("https://git.example/app.git@v1", 'write "git+https://git.example/app.git@v1"'),
    ("git@git.example:me/app.git", 'write "git+ssh://git@git.example/me/app.git"'),
    ("git+https://git.example/app.git@v1#egg=app", 'write "app @ git+https://git.example/app.git@v1"'),
    ("git+https://token@git.example/app.git", "~/.netrc"),
    ("https://host.example/${NAME}.whl", "write {{ name }}"),
    ("???", "write it as for pip"),
]


@pytest.mark.parametrize(("raw", "hint"), REFUSED)
def test_forms_that_are_refused_say_what_to_write(raw: str, hint: str) -> None:
    with pytest.raises(PydanticCustomError) as caught:
        parse(raw)
    assert caught.value.context is not None
    assert hint in caught.value.context["hint"]
    advised = re.search(r'^(?:write|did you mean) "([^"…]+)"', hint)
    if advised:
        parse(advised[1])  # the advice must not lead to the next error


def test_constraints() -> None:
    assert (
        constraint("/srv/c.txt")
        is constraint("https://host.example/c.txt")
        is constraint("file:///c.txt")
        is None
    )
    wanted = constraint("numpy<2")
    assert wanted is not None
    assert wanted.name == "numpy"
    for raw in (
        "-c /srv/c.txt",
        "constraints.txt",
        "torch[x]==1",
        "git+https://git.example/a.git",
        "-e /src/a",
        "~/c.txt",
    ):
        with pytest.raises(PydanticCustomError):
            constraint(raw)


def test_all_mistakes_of_a_file_at_once(project: Project) -> None:
    found = project.errors(
        """\
        - hosts: gpu
          environments:
            app:
              packages: ["-r /srv/app/requirements.txt", good, "--pre"]
              constraints: [constraints.txt]
              find_links: [wheels]
        """
    )
    assert [error.partition(": ")[0] for error in found] == [
        "p.yml:4:18",
        "p.yml:4:56",
        "p.yml:5:21",
        "p.yml:6:20",
    ]
