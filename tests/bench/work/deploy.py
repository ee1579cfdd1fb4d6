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
    ("/opt/provision", "root", "755"),
    ("/opt/provision/services", "root", "755"),
    ("/opt/provision/services/bench", "root", "755"),
):
    files.directory(path=path, user=owner, group=owner, mode=mode)
service = "/opt/provision/services/bench"
unit = "provision-bench"
written = [
    files.template(
        src="env.j2", dest=f"{service}/env", user="root", group="root", mode="600", message=message
    ),
    files.put(src="start.sh", dest=f"{service}/start.sh", user="root", group="root", mode="755"),
    files.put(src="serve.py", dest="/srv/bench/app/serve.py", user="root", group="root", mode="755"),
    files.put(
        src=f"{unit}.service",
        dest=f"/etc/systemd/system/{unit}.service",
        user="root",
        group="root",
        mode="644",
    ),
]
pip.venv(path="/opt/bench/venv")
systemd.service(service=unit, running=True, restarted=True, daemon_reload=True, _if=any_changed(*written))
systemd.service(service=unit, running=True, enabled=True)
answered = f'curl -fsS http://127.0.0.1:8080/ | grep -qx "bench {message}"'
server.shell(commands=[f"for n in $(seq 100); do {answered} && exit 0; sleep 0.1; done; exit 1"])
