"""One of two processes: runs command lines, one after the other, each with a port of its own to meet at."""

import json
import os
import sys

from lit_seq.cli import main

for port, arguments in json.loads(sys.stdin.read()):
    os.environ["MASTER_PORT"] = str(port)
    print(main(arguments), flush=True)
