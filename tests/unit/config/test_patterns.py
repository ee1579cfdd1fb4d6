from __future__ import annotations

import pytest

from provision.config.patterns import select
from provision.config.problems import ConfigError, Position

HOSTS = ["gpu-1", "gpu-2", "web-1", "db"]
GROUPS = {"gpu": ["gpu-1", "gpu-2"], "web": ["web-1"], "empty": []}


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("all", HOSTS),
        ("db", ["db"]),
        ("gpu", ["gpu-1", "gpu-2"]),
        ("gpu-*", ["gpu-1", "gpu-2"]),
        ("*-1", ["gpu-1", "web-1"]),
        ("gpu-[2-9]", ["gpu-2"]),
        ("w*", ["web-1"]),
        ("db,gpu", ["gpu-1", "gpu-2", "db"]),
        ("db:gpu-1", ["gpu-1", "db"]),
        (["db", "web"], ["web-1", "db"]),
        ("all:!gpu", ["web-1", "db"]),
        ("all,!gpu-*,!db", ["web-1"]),
        ("!gpu", ["web-1", "db"]),
        (["all", "!web-1"], ["gpu-1", "gpu-2", "db"]),
        ("all,!empty", HOSTS),
        ("localhost", ["localhost"]),
        ("localhost,db", ["db", "localhost"]),
        (" gpu , db ", ["gpu-1", "gpu-2", "db"]),
        ("gpu,gpu-1", ["gpu-1", "gpu-2"]),
        ("gpu-[1:2]", ["gpu-1", "gpu-2"]),
        ("gpu-[1:2]:!gpu-1", ["gpu-2"]),
        ("db,gpu-[1:2:2],web-[1:1]", ["gpu-1", "web-1", "db"]),
        ("gpu:&*-1", ["gpu-1"]),
        ("all,&gpu,&*-2", ["gpu-2"]),
        ("&gpu", ["gpu-1", "gpu-2"]),
        (["gpu", "web", "&*-1", "!gpu-1"], ["web-1"]),
    ],
)
def test_select(pattern: str | list[str], expected: list[str]) -> None:
    assert select(pattern, HOSTS, GROUPS, ["localhost"]) == expected


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("gpus", "no host or group matches 'gpus'; did you mean `gpu`?"),
        ("gpu-11", "no host or group matches 'gpu-11'; did you mean `gpu-1`?"),
        ("zzz*", "no host or group matches 'zzz*'"),
        ("all,!gpuu", "no host or group matches 'gpuu'; did you mean `gpu`?"),
        ("gpu,nothing", "no host or group matches 'nothing'"),
        ("empty", "the group 'empty' has no hosts"),
        ("emp*", "the group 'emp*' has no hosts"),
        ("gpu,!gpu", "the host pattern 'gpu, !gpu' matches no host"),
        ("gpu:&web", "the host pattern 'gpu, &web' matches no host"),
        ("gpu:&wob", "no host or group matches 'wob'; did you mean `web`?"),
        (
            "gpu-[1:4]",
            "no host or group is called 'gpu-3', which is part of 'gpu-[1:4]'; did you mean `gpu-2`?",
        ),
        ("gpu-[4:1]", "the range [4:1] ends before it begins; write the smaller end first"),
        ("", "the host pattern is empty; name a host, a group, or all"),
        (" , ", "the host pattern is empty; name a host, a group, or all"),
        ("local*", "no host or group matches 'local*'; did you mean `localhost`?"),
    ],
)
def test_nothing_matches(pattern: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        select(pattern, HOSTS, GROUPS, ["localhost"], Position("p.yml", 1, 2))
    assert str(caught.value).startswith(f"p.yml:1:2: {message}")
