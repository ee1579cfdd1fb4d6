"""A model hub for tests: ModelScope's protocol and Hugging Face's, from one folder, with faults on request.

Point the real client libraries at it with ``MODELSCOPE_ENDPOINT`` or ``HF_ENDPOINT``. The folder holds
``<owner>/<name>/<files>``. The revisions "master", "main", "v1.0" to "v3.0" and the commit id name the
same content, which may be changed at any time.
"""

from .records import Fault, Request
from .server import Hub

__all__ = ["Fault", "Hub", "Request"]
