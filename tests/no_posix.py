"""A system without POSIX modules: an environment in which they cannot be imported, in child processes either."""

from __future__ import annotations

import os
from pathlib import Path

BLOCKER = r"""
import os, sys
GONE = {"fcntl", "resource", "tty", "termios", "pty", "pwd", "grp", "syslog"}
class Gone:
    def find_spec(self, name, path=None, target=None):
        if name in GONE:
            raise ImportError(f"{name}: not on this system")
        if name == "msvcrt" and asked_by("sweetspot.processor.live.console"):
            from importlib.machinery import ModuleSpec
            return ModuleSpec(name, Console)
        return None
class Console:
    # keys of the terminal, which must be sent with a line feed
    @staticmethod
    def create_module(spec):
        return None
    @staticmethod
    def exec_module(module):
        import select
        module.kbhit = lambda: bool(select.select([0], [], [], 0.0)[0])
        module.getwch = lambda: os.read(0, 1).decode()
def asked_by(who):
    frame = sys._getframe()
    while frame is not None:
        if frame.f_globals.get("__name__") == who:
            return True
        frame = frame.f_back
    return False
for name in GONE:
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Gone())
for name in ("killpg", "fork", "openpty", "posix_fallocate", "setsid"):
    if hasattr(os, name):
        delattr(os, name)
known = os.uname
def uname():
    if sys._getframe(1).f_globals.get("__name__", "").startswith("sweetspot"):
        raise AttributeError("uname: not on this system")
    return known()
os.uname = uname
"""


def without_posix(folder: Path) -> dict[str, str]:
    """The environment of such a system, made in ``folder``; keys of its console come from standard input."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(BLOCKER, encoding="utf-8")
    return os.environ | {"PYTHONPATH": str(folder)}
