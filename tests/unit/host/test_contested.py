"""Which packages' wheels differ from index to index, by what uv writes."""

from __future__ import annotations

from provision.host.python.contested import contested, orders, wheels

LOCK = """\
lock-version = "1.0"

[[packages]]
name = "soundfile"
version = "0.14.0"
sdist = { url = "https://a.example/soundfile-0.14.0.tar.gz", hashes = { sha256 = "00" } }
wheels = [{ url = "https://a.example/soundfile-0.14.0-py2.py3-none-any.whl", hashes = { sha256 = "01" } }]

[[packages]]
name = "torch"
version = "2.13.0+cpu"
wheels = [
    { url = "file:///w/torch-2.13.0%2Bcpu-cp311-cp311-linux_x86_64.whl", hashes = { sha256 = "02" } },
    { path = "/w/torch-2.13.0+cpu-cp312-cp312-linux_x86_64.whl", hashes = { sha256 = "03" } },
]
"""


def test_each_index_is_the_first_once() -> None:
    lines = ["--index-url a", "--extra-index-url b", "--extra-index-url c", "--find-links /w", "-c d"]
    rest = ["--find-links /w", "-c d"]
    assert orders(lines) == [
        ["--index-url a", "--extra-index-url b", "--extra-index-url c", *rest],
        ["--index-url b", "--extra-index-url c", "--extra-index-url a", *rest],
        ["--index-url c", "--extra-index-url a", "--extra-index-url b", *rest],
    ]
    assert orders(["--index-url a", "--extra-index-url a"]) == [["--index-url a"]]
    assert orders(["--no-index", "--find-links /w"]) == []


def test_the_wheels_of_a_lock() -> None:
    assert wheels(LOCK) == {
        "soundfile": {"soundfile-0.14.0-py2.py3-none-any.whl"},
        "torch": {
            "torch-2.13.0+cpu-cp311-cp311-linux_x86_64.whl",
            "torch-2.13.0+cpu-cp312-cp312-linux_x86_64.whl",
        },
    }


def test_other_wheels_in_another_index() -> None:
    more = LOCK.replace("none-any.whl", "none-manylinux_2_28_x86_64.whl")
    assert contested([LOCK, LOCK]) == {}
    plain, native = (
        "soundfile-0.14.0-py2.py3-none-any.whl",
        "soundfile-0.14.0-py2.py3-none-manylinux_2_28_x86_64.whl",
    )
    assert contested([LOCK, more, LOCK]) == {"soundfile": [[plain], [native], [plain]]}


def test_the_same_wheels_elsewhere_and_a_source_more_are_no_difference() -> None:
    assert contested([LOCK, LOCK.replace("https://a.example", "http://b.example/mirror")]) == {}
    assert contested([LOCK, LOCK.replace("sdist = ", "ignored = ")]) == {}
