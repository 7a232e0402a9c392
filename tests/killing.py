"""`lpack`, killed by SIGKILL just before its N-th step, whichever of its processes takes it."""

from __future__ import annotations

KILLED_AT = """
import mmap, os, signal, struct, sys

counter = mmap.mmap(-1, 8)
last = int(os.environ["KILL_AT"])
steps = {"os.rename", "os.remove", "os.rmdir", "os.symlink", "os.mkdir", "fcntl.ioctl"}

def before(event, arguments):
    if event not in steps or "/proc/" in str(arguments[0]):
        return
    number = struct.unpack("q", counter[:8])[0] + 1
    counter[:8] = struct.pack("q", number)
    if number == last:
        os.kill(os.getpid(), signal.SIGKILL)

from genoci.cli.main import lpack
sys.addaudithook(before)
sys.exit(lpack())
"""
