"""The floor: one command on each host by OpenSSH, a bounded number at once, and nothing else.

python -I -S floor.py HOSTS_FILE WORKERS SSH_OPTION... -- COMMAND...
"""

import os
import sys


def main() -> int:
    """Run the command on every host of the file; 1 when one of them failed."""
    split = sys.argv.index("--")
    options, command = sys.argv[3:split], sys.argv[split + 1 :]
    with open(sys.argv[1]) as file:
        waiting = file.read().split()
    running, failed = 0, False
    while waiting or running:
        if waiting and running < int(sys.argv[2]):
            argv = ["ssh", *options, waiting.pop(0), *command]
            os.posix_spawnp("ssh", argv, os.environ)
            running += 1
            continue
        failed |= os.wait()[1] != 0
        running -= 1
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
