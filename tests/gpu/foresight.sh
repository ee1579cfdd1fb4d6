#!/usr/bin/env bash
# What plan and apply foresee on a real card: two servers, then one wrong change after the other, a left-over
# worker, and a good change. PROVISION, ENVIRONMENT (a venv with vLLM), MODELS and OUT say where things are.
set -u
here=$(cd "$(dirname "$0")" && pwd)
: "${PROVISION:=provision}" "${OUT:=$here/recorded}"
mkdir -p "$OUT"
say() { echo "== $*"; }
run() {  # run NAME VERB ARGUMENTS...: its output with its exit code and seconds goes to OUT/foresight.txt
  local name=$1 verb=$2 begun=$SECONDS; shift 2
  say "$name: provision $verb foresight.yml $*"
  $PROVISION "$verb" "$here/foresight.yml" -e "environment=$ENVIRONMENT" -e "models=$MODELS" "$@" 2>&1
  say "exit $?, $((SECONDS - begun)) s; engines: $(nvidia-smi --query-compute-apps=pid,used_memory --format=csv,noheader | tr '\n' ';')"
}
leave_over() {  # a process that holds 29 GiB under the name of a dead server's worker
  "$ENVIRONMENT/bin/python" - <<'PY' &
import os, sys
if os.fork():
    os._exit(0)
os.setsid()
import setproctitle, time, torch
held = torch.empty(29 * 2**30, dtype=torch.uint8, device="cuda")
setproctitle.setproctitle("VLLM::EngineCore")
time.sleep(600)
PY
  wait $!
  for _ in $(seq 40); do
    nvidia-smi --query-compute-apps=process_name,used_memory --format=csv,noheader | grep -q "^VLLM::EngineCore, 30" && return
    sleep 0.5
  done
}
{
  run "first plan" plan --no-diff
  run "first apply" apply --yes --no-diff
  run "second plan" plan --no-diff
  run "too long" apply --yes --no-diff -e length=200000
  run "a neighbour too large" apply --yes --no-diff -e neighbour=0.65
  run "more GPUs than are given to it" apply --yes --no-diff -e tensor=2
  run "a good change, planned" plan --no-diff -e share=0.6
  leave_over
  run "a left-over worker" apply --yes --no-diff -e share=0.6
  run "a left-over worker, ended" apply --yes --no-diff -e share=0.6 --end-left-over
  run "the last plan" plan --no-diff -e share=0.6
  run "status" status
} 2>&1 | tee "$OUT/foresight.txt"
$PROVISION plan "$here/foresight.yml" -e "environment=$ENVIRONMENT" -e "models=$MODELS" -e share=0.6 -e seqs=48 --output json > "$OUT/foresight.jsonl"
grep -hE "Available KV|KV cache size|Model loading" /opt/provision/log/*.log /opt/provision/logs/*.log 2>/dev/null | tail -8
$PROVISION remove "$here/foresight.yml" -e "environment=$ENVIRONMENT" -e "models=$MODELS" --yes > "$OUT/foresight-remove.txt" 2>&1
