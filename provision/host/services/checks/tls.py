"""TLS as checks use it: the certificate is verified with a given CA, or not at all.

The name in the certificate is never compared: a check connects to the loopback address, and a certificate is
for the name that clients use.
"""

from __future__ import annotations

import socket
import ssl

from provision.host.failure import Failure

_LEAF_TRUSTED = getattr(ssl, "VERIFY_X509_PARTIAL_CHAIN", 0x80000)
"""Accepts the server's own certificate in the place of its CA; Python names this flag from 3.10 on."""


def over(line: socket.socket, ca: str | None) -> ssl.SSLSocket:
    """Return an open connection with TLS on it; without a file of certificates to trust, any is accepted.

    Raises:
        OSError: the server does not speak TLS, or its certificate is not signed by the CA.
        Failure: the CA cannot be read.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    if ca is None:
        context.verify_mode = ssl.CERT_NONE
        return context.wrap_socket(line)
    context.verify_flags |= _LEAF_TRUSTED
    try:
        context.load_verify_locations(ca)
    except (OSError, ValueError) as error:
        # OpenSSL explains that a file is missing; what it says of any other fault does not help.
        known = isinstance(error, (FileNotFoundError, PermissionError))
        why = error.strerror if isinstance(error, OSError) and known else "it contains no certificate"
        raise Failure("file-refused", f"{ca}, the CA to verify the server with: {why}") from None
    return context.wrap_socket(line)


def failure(error: Exception, ca: str | None) -> Failure | None:
    """Return what is wrong between client and server when asking again would not help; else None."""
    if isinstance(error, Failure):
        return error
    if isinstance(error, ssl.SSLCertVerificationError):
        return Failure(
            "tls-mismatch",
            f"the server's certificate cannot be verified with {ca}: {error.verify_message}",
            hint="name the CA that has signed it: `tls: {ca: PATH}`",
        )
    reason = getattr(error, "reason", None) or ""
    if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE"):
        return Failure(
            "tls-mismatch",
            "the server does not speak TLS, though the service declares it",
            hint="leave `tls` out",
        )
    if "CERTIFICATE_REQUIRED" in reason or "HANDSHAKE_FAILURE" in reason:
        return Failure(
            "tls-mismatch",
            "the server demands a client certificate, and checks have none",
            hint="let a proxy in front demand it, or leave it optional",
        )
    return None
