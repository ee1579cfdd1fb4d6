"""What is known of vLLM: its command line, release by release.

The knowledge is plain data (`flags.json`) and pure functions over it; nothing here imports vLLM.
"""
