#!/usr/bin/env bash
# Several services on one GPU: one apply, then all at once as after a reboot, then two without a turn.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
: "${PROVISION:=provision}" "${PREFIX:=/opt/provision}" "${MODELS:=/data/model}" "${OUT:=$here/recorded}"
memory() { nvidia-smi --query-compute-apps=pid,used_memory,process_name --format=csv,noheader; }

$PROVISION apply --yes "$here/one_card.yml" | tee "$OUT/one-card-apply.txt"
$PROVISION verify "$here/one_card.yml" | tee "$OUT/one-card-verify.txt"

for file in "$PREFIX"/run/*.pid; do kill -TERM -- "-$(head -n 1 "$file")"; done
while [ -n "$(memory)" ]; do sleep 1; done

pids=()
for name in big middle small speech; do
  setsid "$PREFIX/services/$name/start.sh" > "/tmp/$name.log" 2>&1 &
  pids+=($!)
done
begun=$SECONDS
: > "$OUT/one-card-started-together.txt"
for port in 8104 8101 8102 8103; do
  until curl -sf -o /dev/null -m 2 "localhost:$port/health"; do sleep 1; done
  echo "port $port answers $((SECONDS - begun))s after the common start" | tee -a "$OUT/one-card-started-together.txt"
done
memory | tee -a "$OUT/one-card-started-together.txt"
for pid in "${pids[@]}"; do kill -KILL -- "-$pid"; done
while [ -n "$(memory)" ]; do sleep 1; done

# Without a turn: the second counts what the first takes meanwhile as its own.
python=$PREFIX/environments/vllm/bin/python
serve() {
  timeout -k 3 75 "$python" -m vllm.entrypoints.openai.api_server --model "$MODELS/$1" --gpu-memory-utilization "$2" \
    --port "$3" --load-format dummy --enforce-eager --dtype float16 --max-model-len 4096 > "$OUT/race-$1.log" 2>&1
}
serve qwen2.5-7b 0.5 8201 & serve r1-distill-qwen-1.5b 0.3 8202 & wait || true
grep -h "Available KV cache memory\|No available memory" "$OUT"/race-*.log
