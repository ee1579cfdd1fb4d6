"""voice_activity.py and sensevoice.py give what FunASR's own ``generate`` gives."""

import json
import subprocess

from tests.asr.conftest import ROOT, model_directory, python


def test_fast_paths_agree_with_funasr(waves):
    done = subprocess.run(
        [python(), "-m", "tests.asr.agreement", str(model_directory())],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["differing"] == []
    assert found["taken"], "FunASR's own, slower code is used: compare this release and add it"
