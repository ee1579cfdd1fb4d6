"""SHA-256 without OpenSSL: to load its library takes longer than all that a run hashes."""

from __future__ import annotations

try:
    from _sha2 import sha256 as _sha256  # type: ignore[import-not-found]  # Python 3.12 and newer
except ImportError:
    from _sha256 import sha256 as _sha256  # type: ignore[import-not-found]


def sha256(data: bytes) -> str:
    """Return the SHA-256 of some bytes in hex."""
    digest: str = _sha256(data).hexdigest()
    return digest
