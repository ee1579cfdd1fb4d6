"""A wheel called ray: nodes join a head, which knows who is alive. For tests of all around a cluster."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.standin import INDEX
from tests.host.wheels import wheel

VERSION = "2.60.0"

_CLUSTER = '''\
"""The head keeps a connection of each node; a node is alive as long as that is open."""
import json, os, platform, signal, socket, sys, threading, time, types

VERSION = "VERSION"

def place(text):
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)

class Head:
    def __init__(self, name, port):
        self.nodes = {os.urandom(4).hex(): [name, True]}
        self.door = socket.create_server(("", port))
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            threading.Thread(target=self.attend, args=(self.door.accept()[0],), daemon=True).start()

    def attend(self, line):
        file, node = line.makefile("r"), None
        for text in file:
            said = json.loads(text)
            if said.get("name"):
                node = self.nodes.setdefault(os.urandom(4).hex(), [said["name"], True])
            else:
                known = {"nodes": self.nodes, "ray_version": VERSION}
                known["python_version"] = platform.python_version()
                line.sendall(json.dumps(known).encode() + b"\\n")
        if node:
            node[1] = False

def start(words):
    known = dict(word[2:].split("=", 1) for word in words if word.startswith("--") and "=" in word)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    if "--head" in words:
        Head(known["node-name"], int(known["port"]))
        while True:
            time.sleep(60)
    with socket.create_connection(place(known["address"])) as line:
        line.sendall(json.dumps({"name": known["node-name"]}).encode() + b"\\n")
        line.recv(1)
    sys.exit("the head has gone")

class GcsClient:
    def __init__(self, address):
        self.line = socket.create_connection(place(address), 5)
        self.file = self.line.makefile("r")

    def ask(self):
        self.line.sendall(b"{}\\n")
        return json.loads(self.file.readline())

    def internal_kv_get(self, key, namespace, timeout):
        return json.dumps(self.ask()).encode()

    def get_all_node_info(self, timeout):
        found = {}
        for id, (name, alive) in self.ask()["nodes"].items():
            found[id.encode()] = types.SimpleNamespace(node_name=name, state=int(not alive))
        return found
'''

_RAY = "import sys\nfrom ray._raylet import start\nstart(sys.argv[2:])\n"


def install(root: Path) -> str:
    """Put the wheel on a host; return the script that makes its program in an environment at /srv/env."""
    modules = {
        "ray/__init__.py": f"__version__ = {VERSION!r}\n",
        "ray/_raylet.py": _CLUSTER.replace('"VERSION"', repr(VERSION)),
    }
    package = root / INDEX.lstrip("/") / "ray"
    package.mkdir(parents=True, exist_ok=True)
    wheel(package, "ray", VERSION, modules=modules)
    (root / "srv/ray.py").write_text(_RAY)
    return "cp /srv/ray.py /srv/env/bin/ray"
