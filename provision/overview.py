"""What `provision --help` prints. It imports nothing, so that it is there at once."""

from __future__ import annotations

VERBS = {
    "init": "Write a commented skeleton: an inventory and a playbook that validate as they are.",
    "validate": "Check inventories and playbooks. Needs no host, no secret and no network.",
    "fit": "Say whether a model runs on a GPU under vLLM, and how many tokens it has room for.",
    "render": "Write the scripts, units and env files that would land on each host.",
    "plan": "Show what would change on each host, and whether it can work.",
    "apply": "Converge hosts to the playbooks, then prove that every service answers.",
    "verify": "Run every service's checks: a chat completed, an audio file transcribed.",
    "status": "Show the state, PID, uptime, port, model and GPU memory of services.",
    "logs": "Print or follow the log of a service.",
    "history": "List what services have run with: who changed what, and how it went.",
    "rollback": "Run again what a service ran with before, and prove that it answers.",
    "lock": "Write the exact versions and hashes of what playbooks have come to into lock files.",
    "sbom": "Write a bill of materials (CycloneDX) of each host.",
    "inventory": "List hosts, or show one host's variables and where each value came from.",
    "schema": "Print the JSON Schema of playbooks or inventories, for editors.",
    "explain": "Say what a code such as unknown-key means: cause, example, way out.",
    "remove": "Take away what provision has put on hosts, and nothing else.",
}
"""Verb -> its line in the overview, in the order in which people meet them."""

EXAMPLES = [
    ("provision init", "a commented inventory and playbook"),
    ("provision validate", "check everything, touch nothing"),
    ("provision plan", "what would change, and whether it can work"),
    ("provision apply", "make it so, and prove it"),
]

OPTIONS = {"-V, --version": "Show the version and exit.", "-h, --help": "Show this message and exit."}


def overview() -> str:
    """Return usage, options, verbs, and how to begin."""
    parts = [
        "Usage: provision [OPTIONS] COMMAND [ARGS]...\n",
        "  Put model servers on your own machines, from YAML in git, and prove that they answer.\n",
    ]
    for title, entries in (("Options", OPTIONS), ("Verbs", VERBS), ("To begin with", dict(EXAMPLES))):
        width = max(map(len, entries))
        lines = [f"  {name:{width}}  {text}" for name, text in entries.items()]
        parts.append("\n".join([f"{title}:", *lines]) + "\n")
    return "\n".join(parts)
