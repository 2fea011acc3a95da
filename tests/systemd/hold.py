"""Holds one thread of a process still, by its name, until it is killed (ptrace(2))."""

import ctypes
import os
import sys

pid, name = sys.argv[1:]
libc = ctypes.CDLL(None, use_errno=True)
SEIZE, INTERRUPT = 0x4206, 0x4207
for task in os.listdir(f"/proc/{pid}/task"):
    if open(f"/proc/{pid}/task/{task}/comm").read().strip() == name:
        for request in (SEIZE, INTERRUPT):
            if libc.ptrace(request, int(task), None, None) != 0:
                sys.exit(f"ptrace: {os.strerror(ctypes.get_errno())}")
        print("held", flush=True)
        # Until it has ended, and reaped: a dead thread that its tracer does not reap keeps the process.
        while True:
            try:
                os.waitpid(int(task), 0x40000000)  # __WALL
            except ChildProcessError:
                sys.exit()
sys.exit(f"no thread {name}")
