"""What the host of a gateway tells HAProxy, and reads from it: answers of 2.6.12 as they came."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from provision.host.services.gateways import haproxy_admin as admin
from tests.unit.host.admin_socket import AdminSocket

STATE = """\
1
# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight \
srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state \
srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port \
srv_check_addr srv_agent_addr srv_agent_port
3 r1 1 h1 127.0.0.1 2 0 1 1 15 15 3 2 6 0 0 0 - 18501 - 0 0 - - 0
4 r2 1 h1 127.0.0.1 2 8 1 1 0 15 3 2 6 0 0 0 - 18502 - 0 0 - - 0
4 r2 2 gone 127.0.0.1 2 0 1 1 15 15 3 2 6 0 0 0 - 18503 - 0 0 - - 0

"""

CONFIGURATION = """\
frontend provision:gateway
    bind '0.0.0.0:8080'
backend r1
    server h1 '127.0.0.1:18501' ssl verify none
backend r2
    server h1 '[fd00::1]:19999'
"""

STAT = """\
# pxname,svname,qcur,qmax,scur,smax,status,weight
provision:handover,next,0,0,0,0,no check,1
r1,h1,2,2,7,9,UP,1
r2,h1,0,0,1,1,DRAIN,1
r2,h2,0,0,0,1,UP 1/3,1
"""


def test_the_ports_of_the_new_configuration_win() -> None:
    ports = admin._ports(CONFIGURATION)
    assert ports == {("r1", "h1"): "18501", ("r2", "h1"): "19999"}
    before, after = STATE.splitlines(), admin._with_ports(STATE, ports).splitlines()
    changed = [new for old, new in zip(before, after, strict=True) if old != new]
    assert changed == ["4 r2 1 h1 127.0.0.1 2 8 1 1 0 15 3 2 6 0 0 0 - 19999 - 0 0 - - 0"]


class Socket(AdminSocket):
    """A socket that gives one answer to each command, and notes the commands."""

    def __init__(self, path: Path, answer: str) -> None:
        self.heard = list[str]()
        self._answer = answer
        super().__init__(path)

    def answer(self, command: str) -> str:
        self.heard.append(command)
        return self._answer


@pytest.fixture
def stats(tmp_path: Path) -> Iterator[Socket]:
    served = Socket(tmp_path / "s", STAT)
    yield served
    served.close()


def test_the_servers_of_services_and_no_others(stats: Socket) -> None:
    found = admin.servers(stats.path)
    assert [(each.backend, each.name, each.state, each.sessions, each.queued) for each in found] == [
        ("r1", "h1", "UP", 7, 2),
        ("r2", "h1", "DRAIN", 1, 0),
        ("r2", "h2", "UP 1/3", 0, 0),
    ]
    assert [each.up for each in found] == [True, False, True]
    assert admin.server(stats.path, "r2", "h1").sessions == 1
    with pytest.raises(admin.AdminError, match="there is no server r2/h9"):
        admin.server(stats.path, "r2", "h9")


def test_a_name_cannot_become_a_command(stats: Socket) -> None:
    with pytest.raises(admin.AdminError, match="there is no server"):
        admin.turn(stats.path, "r1", "h1 state ready; shutdown sessions", admin.DRAIN)
    assert stats.heard == []


def test_what_haproxy_refuses_is_passed_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    served = Socket(tmp_path / "s", "No such server.\n")
    assert admin.main([served.path, "drain", "r1/h9"]) == 1
    assert served.heard == ["set server r1/h9 state drain"]
    assert "r1/h9: No such server." in capsys.readouterr().err
    served.close()


def test_without_a_socket(tmp_path: Path) -> None:
    assert admin.worker(str(tmp_path / "none")) is None
    assert admin.main([str(tmp_path / "none"), "show"]) == 1
    assert admin.main([str(tmp_path / "none"), "dance"]) == 2
