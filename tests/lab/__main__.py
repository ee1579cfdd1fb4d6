"""``python -m tests.lab``: boot real hosts, serve them models, end them."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from .base import SUITES
from .errors import LabError
from .hub import Fault, Hub
from .lab import Lab, all_labs
from .models import hub_root


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and do what it says."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)

    up = verbs.add_parser("up", help="boot hosts and write an inventory")
    up.add_argument("-n", "--hosts", type=int, default=3, help="how many (default: 3)")
    up.add_argument("--suite", choices=SUITES, default="bookworm", help="Debian release (default: bookworm)")
    up.add_argument("--no-python", action="store_true", help="hosts without python3")

    down = verbs.add_parser("down", help="end a lab")
    down.add_argument("--all", action="store_true", help="end every lab")

    verbs.add_parser("status", help="list the labs and their hosts")

    hub = verbs.add_parser("hub", help="serve models over the protocols of ModelScope and Hugging Face")
    hub.add_argument(
        "root", type=Path, nargs="?", help="folder of <owner>/<name>/<files>; default: tiny models"
    )
    hub.add_argument(
        "--speech", action="store_true", help="with the tiny speech models; made when first asked for"
    )
    hub.add_argument(
        "--address", help="where to listen (default: the lab's bridge, or 127.0.0.1 without a lab)"
    )
    hub.add_argument("--port", type=int, default=8440, help="default: 8440; 0 picks a free one")
    hub.add_argument("--token", help="refuse requests without this token")
    hub.add_argument(
        "--fault",
        type=_fault,
        action="append",
        default=[],
        metavar="MATCH:KIND[=VALUE][,times=N]",
        help="break requests whose path holds MATCH: cut=BYTES, corrupt, status=CODE, slow=BYTES_PER_S, hang",
    )

    ssh = verbs.add_parser("ssh", help="open a shell, or run a command, on a host")
    ssh.add_argument("host")
    ssh.add_argument("command", nargs=argparse.REMAINDER)

    for verb, text in (
        ("stop", "pull the plug of a host"),
        ("start", "boot a stopped host"),
        ("blackhole", "let a host accept TCP and say nothing"),
        ("revive", "end a blackhole"),
    ):
        verbs.add_parser(verb, help=text).add_argument("host")

    for verb_parser in verbs.choices.values():
        verb_parser.add_argument("--name", default="lab", help="name of the lab (default: lab)")

    options = parser.parse_args(arguments)
    try:
        _run(options)
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _run(options: argparse.Namespace) -> None:
    lab = Lab(options.name)
    if options.verb == "up":
        lab.up(options.hosts, suite=options.suite, python=not options.no_python)
        _describe(lab)
    elif options.verb == "down":
        for ending in all_labs() if options.all else [lab]:
            ending.down()
    elif options.verb == "status":
        for found in all_labs():
            _describe(found)
    elif options.verb == "hub":
        _serve(options, lab)
    elif options.verb == "ssh":
        host = lab[options.host]
        os.execvp("ssh", ["ssh", "-F", str(lab.ssh_config), host.name, *options.command])
    elif options.verb in ("stop", "start"):
        getattr(lab, options.verb)(options.host)
    else:
        getattr(lab[options.host], options.verb)()


def _serve(options: argparse.Namespace, lab: Lab) -> None:
    address = options.address or (lab.network.gateway if lab.hosts else "127.0.0.1")
    root = options.root or hub_root(speech=options.speech)
    if not root.is_dir():
        raise LabError(f"{root} is no folder of models")
    hub = Hub(
        root,
        address=address,
        port=options.port,
        token=options.token,
        faults=tuple(options.fault),
        echo=True,
    )
    with hub:
        for model in sorted(root.glob("*/*/")):
            print(f"model {model.relative_to(root)}")
        print(f"MODELSCOPE_ENDPOINT={hub.url} HF_ENDPOINT={hub.url}  (ctrl-c ends)", flush=True)
        try:
            hub.wait()
        except KeyboardInterrupt:
            pass


def _fault(text: str) -> Fault:
    match, colon, kinds = text.rpartition(":")
    if not colon or not match:
        raise argparse.ArgumentTypeError(f"{text!r} is no fault: it names no path before a colon")
    values: dict[str, Any] = {}
    for kind in kinds.split(","):
        name, equals, value = kind.partition("=")
        if name in ("corrupt", "hang") and not equals:
            values[name] = True
        elif name in ("cut", "status", "slow", "times") and value.isdigit():
            values[name] = int(value)
        else:
            raise argparse.ArgumentTypeError(f"{text!r} is no fault: {kind!r} is unknown or lacks its number")
    return Fault(match, **values)


def _describe(lab: Lab) -> None:
    print(f"lab {lab.name}: inventory {lab.inventory}")
    for host in lab:
        print(f"  {host.name}  {host.address}  {host.base.suite}  {'up' if host.running else 'down'}")
    print(f"  a shell: ssh -F {lab.ssh_config} {next(iter(lab.hosts), 'h1')}")


if __name__ == "__main__":
    sys.exit(main())
