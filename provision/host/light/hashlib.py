"""`hashlib` without OpenSSL: SHA-256 for what is small."""

from __future__ import annotations

try:
    from _sha2 import sha256  # type: ignore[import-not-found]  # Python 3.12 and newer
except ImportError:
    try:
        from _sha256 import sha256  # type: ignore[import-not-found]
    except ImportError:
        pass

__all__ = ["sha256"]


def __getattr__(name: str) -> object:
    import hashlib

    return getattr(hashlib, name)
