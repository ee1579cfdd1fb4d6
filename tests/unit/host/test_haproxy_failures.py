"""What HAProxy says of a configuration that it refuses, and the way out."""

from __future__ import annotations

import pytest

from provision.host.services.failures import patterns

SAID = [
    (
        "[ALERT]    (9) : config : [g.cfg:95] : 'server qwen/a' : could not resolve address 'gpu-9'.",
        "unreachable-upstream",
        "gpu-9",
    ),
    (
        "[ALERT]    (9) : config : parsing [haproxy.cfg:41] : 'bind 0.0.0.0:443' in section 'frontend' : "
        "'crt' : No Private Key found in '/opt/provision/services/gateway/certificate.pem'.",
        "tls-mismatch",
        "in PEM",
    ),
    (
        "[ALERT]    (9) : config : parsing [haproxy.cfg:41] : 'bind 0.0.0.0:443' in section 'frontend' : "
        "inconsistencies between private key and certificate loaded '/opt/x.pem'.",
        "tls-mismatch",
        "do not belong together",
    ),
    (
        "[ALERT]    (9) : config : parsing [g.cfg:7]: unknown keyword 'lua-load-per-thread' in 'global'",
        "content-refused",
        "HAProxy 2.4 or later",
    ),
    (
        "[ALERT]    (9) : [haproxy.main()] Starting frontend gateway: cannot bind socket "
        "(Address already in use) [0.0.0.0:8080]",
        "port-taken",
        "the port is taken",
    ),
]


@pytest.mark.parametrize(("line", "code", "advice"), SAID)
def test_a_line_of_haproxy_gets_words(line: str, code: str, advice: str) -> None:
    found = patterns.explain([line, "[ALERT]    (9) : config : Fatal errors found in configuration."])
    assert found is not None
    assert found.code == code
    assert advice in (found.hint or "")
