"""Whether a model runs on a GPU under vLLM: what its memory is needed for, computed before anything starts.

Pure: it gets what a model says of itself (`architecture`, `tensors`), the fields of the service, a card and a
release, and needs no network, no GPU and no host. The formulas are those of vLLM 0.25.1, and each file names
the files of vLLM that it follows. What no formula gives is a range per release (`overhead.yml`).
"""
