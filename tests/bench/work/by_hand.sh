# The whole work as a person would script it, without a look at what is there. The variables are put in front.
set -e
id bench >/dev/null 2>&1 ||
    useradd --system --home-dir /srv/bench --no-create-home --shell /usr/sbin/nologin bench
install -d /srv/bench /srv/bench/app /opt/provision /opt/provision/services /opt/provision/services/bench
install -d -o bench -g bench -m 0750 /srv/bench/data
install -d -o bench -g bench -m 0755 /srv/bench/log
put() {
    printf '%s' "$3" >"$1.new"
    chmod "$2" "$1.new"
    mv "$1.new" "$1"
}
put /srv/bench/app/serve.py 0755 "$SERVE"
put /opt/provision/services/bench/start.sh 0755 "$START"
put /etc/systemd/system/provision-bench.service 0644 "$UNIT"
umask 077
put /opt/provision/services/bench/env 0600 "$ENV"
systemctl daemon-reload
systemctl --quiet enable provision-bench
systemctl restart provision-bench
until [ "$(curl --silent http://127.0.0.1:8080/)" = "bench $MESSAGE" ]; do
    sleep 0.1
done
