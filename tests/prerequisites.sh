#!/bin/sh
# Installs what the tests on real hosts need, where that is possible. Elsewhere those tests say that they are skipped.
set -eu
cd "$(dirname "$0")"

missing=""
for package in $(grep -hv '^#' lab/packages.txt); do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "tests on real hosts need root and:$missing" >&2
    exit 0
fi
exec 9>/run/lock/provision-prerequisites
flock 9 # another checkout may do the same
export DEBIAN_FRONTEND=noninteractive
apt-get -q update >/dev/null
# shellcheck disable=SC2086 # one word a package
apt-get -q -y -o DPkg::Lock::Timeout=600 --no-install-recommends install $missing >/dev/null
