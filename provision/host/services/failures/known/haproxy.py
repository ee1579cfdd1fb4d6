"""Known failures of HAProxy, which a gateway is."""

from __future__ import annotations

from typing import Sequence

from provision.host.services.failures.known.known import Known

KNOWN: Sequence[Known] = (
    Known(
        "unreachable-upstream",
        r"could not resolve address '([^']+)'",
        "the host of the gateway does not know the name {0}: give the address in the gateway's `addresses`",
    ),
    Known(
        "tls-mismatch",
        r"inconsistencies between private key and certificate|private key .*does not match",
        "the certificate and the key of the gateway's `tls` do not belong together",
    ),
    Known(
        "tls-mismatch",
        r"(?:unable to load (?:SSL )?(?:private key|certificate)[^']*'([^']+)'"
        r"|No Private Key found in '([^']+)')",
        "the gateway's `tls` needs a certificate and its key in PEM, the key without a passphrase",
    ),
    Known(
        "content-refused",
        r"(?:unknown (?:fetch method|converter|keyword)|unable to find required (?:use_)?backend"
        r"|expects? .* but got|lua-load-per-thread' is not)",
        "HAProxy 2.4 or later is needed, as Debian 12 and Ubuntu 22.04 have it; a template of your own "
        "(gateway/haproxy.cfg.j2) has to fit the installed version",
    ),
)
