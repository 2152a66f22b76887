"""Says who it is, and works until it is told to end, or for a moment where it is broken."""

import os
import signal
import sys
import time

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("works as", os.environ["WHO"], "PORT" in os.environ, flush=True)
if os.path.exists("broken"):
    sys.exit(7)
while True:
    time.sleep(0.05)
