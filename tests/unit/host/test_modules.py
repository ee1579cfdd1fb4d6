"""Imports of the host side as its archive carries them out: late where that changes nothing."""

from __future__ import annotations

import marshal
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pytest

from provision.host.modules import Modules
from provision.transport import unpack

Load = Callable[..., Any]
"""Takes the text of each module, and imports one of them: the package `house` if no other is named."""


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Load]:
    before = set(sys.modules)
    given = {
        "provision/__init__.py": "",
        "provision/host/__init__.py": "",
        "provision/host/light/__init__.py": "",
        "provision/host/light/colors.py": "red = 'light'\n",
    }

    def load(texts: dict[str, str], name: str = "house") -> Any:
        code = unpack.compiled({**given, **texts})
        (tmp_path / "code").write_bytes(code)
        at, size = map(int, code[:22].split())
        index = marshal.loads(code[at : at + size])
        return Modules(os.open(tmp_path / "code", os.O_RDONLY), index).load(name)

    yield load
    for name in set(sys.modules) - before:
        if name.split(".")[0] in ("house", "hut", "colorsys", "wsgiref") or name.endswith("light.colors"):
            del sys.modules[name]


@pytest.mark.parametrize("name", ["colorsys", "wsgiref"])
def test_a_module_is_imported_when_it_is_used(load: Load, name: str) -> None:
    sys.modules.pop(name, None)
    house = load({"house/__init__.py": f"import {name}\ndef use(): return {name}.__name__\n"})
    assert name not in sys.modules
    assert house.use() == name
    assert house.__dict__[name] is sys.modules[name]
    assert house.use() == name


def test_a_module_of_a_package_is_imported_when_it_is_used(load: Load) -> None:
    house = load(
        {
            "house/__init__.py": "from house.rooms import attic as top, size\ndef use(): return top.height\n",
            "house/rooms/__init__.py": "size = 3\n",
            "house/rooms/attic.py": "height = 2\n",
        }
    )
    assert house.size == 3
    assert "house.rooms.attic" not in sys.modules
    assert house.use() == 2
    assert house.top is sys.modules["house.rooms.attic"]


def test_several_modules_of_one_package(load: Load) -> None:
    text = "import wsgiref.util\nimport wsgiref\nimport wsgiref.validate\n"
    house = load({"house/__init__.py": text + "def use(): return wsgiref.util, wsgiref.validate\n"})
    assert "wsgiref.util" not in sys.modules
    util, validate = house.use()
    assert (util.__name__, validate.__name__) == ("wsgiref.util", "wsgiref.validate")


def test_a_module_of_a_package_under_another_name(load: Load) -> None:
    house = load({"house/__init__.py": "import wsgiref.headers as heads\nimport colorsys as colors\n"})
    assert house.heads is sys.modules["wsgiref.headers"]
    assert house.colors.rgb_to_hls(0, 0, 0) == (0, 0, 0)
    assert house.colors is sys.modules["colorsys"]


def test_what_is_imported_at_once(load: Load) -> None:
    sys.modules.pop("colorsys", None)
    house = load(
        {
            "house/__init__.py": "from house.cellar import depth\ndef late():\n    import colorsys\n",
            "house/cellar.py": "depth = 4\nclass Inside:\n    import wsgiref\n",
        }
    )
    assert house.depth == 4
    assert "wsgiref" in sys.modules
    assert "colorsys" not in sys.modules
    house.late()
    assert "colorsys" in sys.modules


def test_a_name_is_taken_from_its_stand_in(load: Load) -> None:
    assert load({"house/__init__.py": "from colors import red\n"}).red == "light"


def test_a_missing_name_is_an_error_at_once_and_a_missing_module_when_it_is_used(load: Load) -> None:
    house = load({"house/__init__.py": "import no_such_module\ndef use(): return no_such_module.x\n"})
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        house.use()
    with pytest.raises(ImportError, match="cannot import name 'nothing'"):
        load({"hut/__init__.py": "", "hut/porch.py": "from hut import nothing\n"}, "hut.porch")
    with pytest.raises(ModuleNotFoundError, match="garden"):
        load({"shed/__init__.py": "from hut.garden import tree\n"}, "shed")
    assert "shed" not in sys.modules
    assert "hut.porch" not in sys.modules


def test_a_module_that_threads_use_first_at_the_same_time(load: Load) -> None:
    house = load(
        {
            "house/__init__.py": "from house import slow\ndef use(_): return slow.value\n",
            "house/slow.py": "import time\ntime.sleep(0.05)\nvalue = 1\n",
        }
    )
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(house.use, range(8))) == [1] * 8


def test_a_module_that_another_thread_is_importing(load: Load) -> None:
    house = load(
        {
            "house/__init__.py": "from house import gate, other, slow\ndef use(): return slow.value\n",
            "house/gate.py": "from threading import Event\nentered, go = Event(), Event()\n",
            "house/slow.py": "from house import gate\ngate.entered.set()\ngate.go.wait(60)\nvalue = 1\n",
            "house/other.py": "from house.slow import value\n",
        }
    )
    entered, go = house.gate.entered, house.gate.go  # imported here, as an import waits for a running one
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(house.use)
        assert entered.wait(60)
        second = pool.submit(lambda: house.other.value)
        wait([second], 0.1)
        go.set()
        assert first.result() == 1
        assert second.result() == 1
