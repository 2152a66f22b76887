"""Runs a program on a terminal of its own, does something to it at a certain moment, and says in JSON how it ended.

asked.py WHEN WHAT PROGRAM ARGUMENT...

WHEN is a text that the program says, or `file:PATH` for when there is such a file. WHAT is `ctrl-c`, `close` (the
terminal), `yes:PATH` (makes PATH, waits until somebody has removed it, and answers so), or the name of a signal.
"""

import json
import os
import pty
import select
import signal
import sys
import time

when, what, program = sys.argv[1], sys.argv[2], sys.argv[3:]
pid, terminal = pty.fork()
if pid == 0:
    # Whoever started this may have it ignored, as `nohup` does, and that is inherited.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    os.execvp(program[0], program)
said = b""


def listen():
    global said
    if select.select([terminal], [], [], 0.01)[0]:
        try:
            said += os.read(terminal, 65536)
        except OSError:
            time.sleep(0.01)


def has_come():
    return os.path.exists(when[5:]) if when.startswith("file:") else when.encode() in said


deadline = time.monotonic() + 600
while not has_come() and time.monotonic() < deadline:
    listen()
came = time.monotonic()
if what == "ctrl-c":
    os.write(terminal, b"\x03")
elif what == "close":
    os.close(terminal)
elif what.startswith("yes:"):
    open(what[4:], "w").close()
    while os.path.exists(what[4:]) and time.monotonic() < deadline:
        listen()
    came = time.monotonic()
    os.write(terminal, b"y\n")
else:
    os.kill(pid, getattr(signal, what))
code = None
while time.monotonic() < came + 60:
    if what == "close":
        time.sleep(0.01)
    else:
        listen()
    ended, status = os.waitpid(pid, os.WNOHANG)
    if ended:
        code = os.waitstatus_to_exitcode(status)
        break
else:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
print(json.dumps({"code": code, "seconds": time.monotonic() - came, "said": said.decode(errors="replace")}))
