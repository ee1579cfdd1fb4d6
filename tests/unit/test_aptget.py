"""What apt prints when it fails, taken from real runs, and the sentence that is made of it."""

import pytest

from provision.host.capture import Completed
from provision.host.packages import aptget

GONE = """\
Err:1 http://mirror.example/debian bookworm/main amd64 tree amd64 2.0
  404  Not Found [IP: 192.0.2.1 80]
E: Failed to fetch http://mirror.example/tree_2.0_amd64.deb  404  Not Found [IP: 192.0.2.1 80]
E: Unable to fetch some archives, maybe run apt-get update or try with --fix-missing?
"""
UNREACHABLE = """\
Err:1 http://mirror.example/debian bookworm/main amd64 tree amd64 2.0
  Temporary failure resolving 'mirror.example'
E: Failed to fetch http://mirror.example/tree_2.0_amd64.deb  Temporary failure resolving 'mirror.example'
"""
VIRTUAL = """\
Package mail-transport-agent is a virtual package provided by:
  postfix 3.7.11-0+deb12u1
  dma 0.13-1+b1

E: Package 'mail-transport-agent' has no installation candidate
"""
UNMET = """\
The following packages have unmet dependencies:
 dep : Depends: absent but it is not installable
E: Unable to correct problems, you have held broken packages.
"""
SCRIPT = """\
cannot do it
dpkg: error processing package bad (--configure):
 installed bad package post-installation script subprocess returned error exit status 3
E: Sub-process /usr/bin/dpkg returned an error code (1)
"""
HELD = "E: Held packages were changed and -y was used without --allow-change-held-packages.\n"


@pytest.mark.parametrize(
    ("text", "kind", "sentence", "hint"),
    [
        (GONE, aptget.Outdated, "the mirror no longer has the packages that the lists name", None),
        (UNREACHABLE, None, "Temporary failure resolving 'mirror.example'", "check the host's network"),
        (
            VIRTUAL,
            aptget.Unknown,
            "mail-transport-agent is provided by several",
            "declare one of postfix, dma",
        ),
        (
            "E: Unable to locate package nosuch\n",
            aptget.Unknown,
            "no package of this name: nosuch",
            "spelling",
        ),
        (
            "E: Version '9' for 'tree' was not found\n",
            aptget.Unknown,
            "Version '9' for 'tree'",
            "apt-cache policy",
        ),
        (UNMET, None, "unmet dependencies: dep : Depends: absent but it is not installable", None),
        (SCRIPT, None, "package bad could not be installed: installed bad package post-installation", None),
        (HELD, None, "Held packages were changed", "apt-mark unhold"),
        (
            "E: You don't have enough free space in /var/cache/apt/archives/.\n",
            None,
            "no space is left to install packages (in /var/cache/apt/archives/)",
            "free some space",
        ),
        ("", None, "apt-get: exit 100", None),
    ],
)
def test_a_failure_is_one_sentence(text: str, kind: type | None, sentence: str, hint: str | None) -> None:
    failure = aptget.explain(Completed(100, text, ""))
    assert sentence in failure.message
    assert "\n" not in failure.message
    assert type(failure) is (kind or aptget.Failure)
    if hint:
        assert failure.hint is not None
        assert hint in failure.hint
