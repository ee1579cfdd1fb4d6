"""Replacements for what the host side uses in every run and what is slow to import.

A look at a converged host takes about 18 ms. Importing the standard library's modules would add, on Python
3.8, 3.11 and 3.13: `typing` 8 to 14 ms, `json` 8 to 12, `signal` 4 to 7 (`main.py` uses `_signal`), `socket`
5, `hashlib` 3 to 4, `threading` 1 to 5; all of them together 15 to 23, as they share some imports.

So when the host side runs from its archive, `from hashlib import sha256` takes the name from `hashlib` here
(see `modules.py`). A name that is not here comes from the standard library. JSON is
read and written by `provision.wire.plainjson`.
"""
