"""Stand-ins for what the host side uses at every run, and the standard library is slow to import.

A bare Python starts in 7 ms; `typing`, `json`, `re`, `threading`, `subprocess`, `hashlib` and what they
import in their turn take 20 ms more, and most runs find a converged host. So what such a run goes through
imports only modules that are built into the interpreter, and these here. What changes a host imports what
it likes.
"""
