"""Work on other cores: copies of this process, and values that a thread computes ahead of time."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweetspot.rigs.parallel import forked as forked
    from sweetspot.rigs.parallel.ahead import DEPTH as DEPTH
    from sweetspot.rigs.parallel.ahead import Ahead as Ahead
    from sweetspot.rigs.parallel.memory import keep_freed_memory as keep_freed_memory
else:
    from sweetspot.rigs.faces import lazy

    __getattr__ = lazy(__name__)
