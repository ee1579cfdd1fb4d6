#!/bin/sh
# Written by provision for service tiny of playbook site. What is changed here is undone by the next apply.
set -a
. @ROOT@/services/tiny/env
set +a
export PYTHONUNBUFFERED=1

exec python3 \
  -m http.server \
  --bind 127.0.0.1 @PORT@
