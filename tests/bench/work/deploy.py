"""The work for pyinfra."""

from pyinfra import host
from pyinfra.operations import apt, files, pip, server, systemd
from pyinfra.operations.util import any_changed

message = host.data.message

apt.packages(packages=["curl", "python3-apt", "python3-venv"])
server.user(user="bench", system=True, home="/srv/bench", ensure_home=False, shell="/usr/sbin/nologin")
for path, owner, mode in (
    ("/srv/bench", "root", "755"),
    ("/srv/bench/app", "root", "755"),
    ("/srv/bench/data", "bench", "750"),
    ("/srv/bench/log", "bench", "755"),
):
    files.directory(path=path, user=owner, group=owner, mode=mode)
written = [
    files.template(
        src="bench.env.j2", dest="/etc/bench.env", user="root", group="bench", mode="640", message=message
    ),
    files.put(src="serve.py", dest="/srv/bench/app/serve.py", user="root", group="root", mode="755"),
    files.put(
        src="bench.service",
        dest="/etc/systemd/system/bench.service",
        user="root",
        group="root",
        mode="644",
    ),
]
pip.venv(path="/opt/bench/venv")
systemd.service(service="bench", running=True, restarted=True, daemon_reload=True, _if=any_changed(*written))
systemd.service(service="bench", running=True, enabled=True)
server.shell(commands=[f'curl -fsS http://127.0.0.1:8080/ | grep -qx "bench {message}"'])
