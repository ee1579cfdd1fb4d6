"""Stand-ins for what the host side uses at every run, and the standard library is slow to import.

A bare Python starts in 7 ms; `typing`, `json`, `re`, `threading`, `hashlib` and what they import in their
turn take 20 ms more. So when the host side runs from its archive, `from hashlib import sha256` takes the name
from `hashlib` here (see `modules.py`). A name that is not here comes from the standard library.
"""
