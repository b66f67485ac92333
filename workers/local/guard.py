"""Becomes the program given, bound to die with the process that asked for it:  guard.py PARENT_PID PROGRAM ARGS...

Runs as a script of its own (`python -I -S`), between fork and exec, so that no Python code has to run in a forked copy
of a process with threads. The process id stays the same through exec, and so does the death signal.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>

if __name__ == "__main__":
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        # SIGKILL, not SIGTERM: a parent that was killed cannot wait for a slow goodbye, and the next start finds the
        # folder and the ports free at once. Both servers recover from it by design.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        # The parent may have died before the call above; then no signal will ever come.
        if os.getppid() != parent:
            os._exit(0)
    os.execv(command[0], command)
