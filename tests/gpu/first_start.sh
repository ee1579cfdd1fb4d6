#!/usr/bin/env bash
# How long a first start of vLLM takes, and what it compiles: first_start.sh NAME MODEL [ARGUMENT...]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
: "${VLLM:?the Python of an environment with vLLM and py-spy}" "${OUT:=$here/recorded}"
name=$1 model=$2
shift 2
home=$(mktemp -d)
HOME=$home setsid "$VLLM" -m vllm.entrypoints.openai.api_server --model "$model" --load-format dummy --dtype float16 \
  --max-model-len 8192 --max-num-seqs 32 --port 8301 "$@" > "$OUT/$name.log" 2>&1 &
server=$!
begun=$SECONDS
until curl -sf -o /dev/null -m 1 localhost:8301/health; do
  if [ $(((SECONDS - begun) % 10)) = 0 ]; then
    echo "=== $((SECONDS - begun))s"
    ps -eo pid,ppid,etimes,args | grep -E '[n]inja -v|[c]icc --c' | cut -c1-150 || true
    for pid in $(pgrep -f 'VLLM::'); do
      echo "-- $(tr '\0' ' ' < "/proc/$pid/cmdline")"
      "${VLLM%python*}py-spy" dump --nonblocking --pid "$pid" | grep -A14 MainThread | head -n 15 || true
    done
  fi >> "$OUT/$name-stacks.txt"
  kill -0 $server || exit 1
  sleep 1
done
echo "$name ready after $((SECONDS - begun))s" | tee -a "$OUT/first-start.txt"
kill -TERM -- -$server
