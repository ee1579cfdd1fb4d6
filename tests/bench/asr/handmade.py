"""The speech service as it is written by hand: what the notes this project replaces describe, for comparison.

Usage: handmade.py MODEL_DIR VAD_DIR PORT
"""

import sys
import threading

import uvicorn
from fastapi import FastAPI, File, UploadFile
from fastapi.responses import HTMLResponse
from funasr import AutoModel
from funasr.utils.postprocess_utils import rich_transcription_postprocess

model = AutoModel(
    model=sys.argv[1],
    vad_model=sys.argv[2],
    vad_kwargs={"max_single_segment_time": 30000},
    trust_remote_code=False,
    ban_emo_unk=True,
    disable_update=True,
    device="cpu",
)
app = FastAPI()


@app.get("/")
async def index():
    return HTMLResponse("<form action='/recognize/' method='post' enctype='multipart/form-data'>"
                        "<input type='file' name='file'><input type='submit'></form>")  # fmt: skip


@app.post("/recognize/")
async def recognize(file: UploadFile = File(...)):  # noqa: B008
    path = f"temp_{threading.get_ident()}.wav"
    try:
        with open(path, "wb") as out:
            while chunk := await file.read(1024 * 1024):
                out.write(chunk)
        res = model.generate(
            input=path,
            cache={},
            language="auto",
            use_itn=True,
            batch_size_s=60,
            merge_vad=True,
            merge_length_s=15,
        )
        return {"result": rich_transcription_postprocess(res[0]["text"])}
    except Exception as e:
        return {"error": str(e)}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[3]), timeout_keep_alive=60, log_level="warning")
