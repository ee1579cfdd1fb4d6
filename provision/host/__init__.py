"""The host side: standard library only, Python 3.8 and up.

This package is packed into one archive, sent over the connection once, cached on the host under its hash,
and run there by the distribution's own Python. It imports nothing from the rest of `provision`.
"""
