#!/usr/bin/env bash
# Two nodes with one GPU each on one machine: each in a network namespace, with the start script that provision
# renders for it, and a loop in place of systemd. Needs root, ip, and vLLM and models where two_nodes.yml says.
#   provision render two_nodes.yml -i two_nodes_hosts.yml --to RENDERED
#   RENDERED=… OUT=… ./two_nodes.sh
# With KILL=no it only waits for an answer. two_nodes_experts.yml is for a model of experts.
set -u
: "${RENDERED:?}" "${OUT:?}"
state=$(mktemp -d)
for n in 1 2; do
  cp -r "$RENDERED/n$n/opt/nn$n" /opt/
  # On one machine both would keep their state in the same place, and take the same card.
  sed -i "s#/var/lib/provision/m/#$state/n$n-#; s/CUDA_VISIBLE_DEVICES=0/CUDA_VISIBLE_DEVICES=$((n - 1))/; s/--cards 0/--cards $((n - 1))/" "/opt/nn$n/services/m/start.sh"
  # NCCL would share memory and devices with a process of the same machine, which ends at a namespace.
  echo "NCCL_HOSTID=\"n$n\"" >> "/opt/nn$n/services/m/env"
  ip netns add "n$n"
done
ip link add veth0 netns n1 type veth peer name veth0 netns n2
for n in 1 2; do
  ip -n "n$n" addr add "10.77.0.$n/24" dev veth0
  ip -n "n$n" link set veth0 up
  ip -n "n$n" link set lo up
done
node() {  # as systemd does: again 10 s after each end
  while :; do
    (set -a; . "/opt/nn$1/services/m/env"; exec sh "/opt/nn$1/services/m/start.sh")
    echo "node $1 ended: $?"
    sleep 10
  done > "$OUT/node$1.log" 2>&1
}
export -f node
export OUT
for n in 1 2; do setsid ip netns exec "n$n" bash -c "node $n" & done
ask() {
  ip netns exec n1 curl -s -o /dev/null -w '%{http_code}' -m 20 -H 'Content-Type: application/json' \
    -d '{"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 4}' \
    http://127.0.0.1:8111/v1/chat/completions
}
answered() {
  local begun=$SECONDS
  while [ $((SECONDS - begun)) -lt 300 ]; do
    [ "$(ask)" = 200 ] && { echo "$1: answers after $((SECONDS - begun)) s"; return; }
    sleep 1
  done
  echo "$1: no answer in 300 s"
}
engines() { nvidia-smi --query-compute-apps=gpu_uuid,pid,process_name,used_memory --format=csv,noheader; }
answered start
engines
if [ "${KILL:-yes}" = yes ]; then
  worker=$(engines | sed -n 's/.*, \([0-9]*\), VLLM::Worker_TP1,.*/\1/p')
  echo "SIGKILL to the worker of rank 1: $worker"
  kill -9 "$worker"
  sleep 3
  answered "after it"
  engines
fi
kill -- $(jobs -p | sed 's/^/-/')
ip netns del n1
ip netns del n2
