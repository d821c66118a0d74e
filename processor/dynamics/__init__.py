"""What holds levels while sound runs: the guard behind the filters, and the SPL limiter ahead of them."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweetspot.processor.dynamics import guard as guard
    from sweetspot.processor.dynamics import spl_limiter as spl_limiter
    from sweetspot.processor.dynamics.guard import STOP as STOP
    from sweetspot.processor.dynamics.guard import Guard as Guard
    from sweetspot.processor.dynamics.guard import hold as hold
    from sweetspot.processor.dynamics.guard import judge as judge
    from sweetspot.processor.dynamics.guard import judge_input as judge_input
    from sweetspot.processor.dynamics.guard import limited as limited
    from sweetspot.processor.dynamics.guard import memory_for as memory_for
    from sweetspot.processor.dynamics.guard import not_above as not_above
    from sweetspot.processor.dynamics.guard import reason as reason
    from sweetspot.processor.dynamics.spl_limiter import PROGRAMS as PROGRAMS
    from sweetspot.processor.dynamics.spl_limiter import SPL as SPL
    from sweetspot.processor.dynamics.spl_limiter import STEP as STEP
    from sweetspot.processor.dynamics.spl_limiter import SplLimiter as SplLimiter
    from sweetspot.processor.dynamics.spl_limiter import covering as covering
    from sweetspot.processor.dynamics.spl_limiter import largest_level as largest_level
    from sweetspot.processor.dynamics.spl_limiter import limit_spl as limit_spl
    from sweetspot.processor.dynamics.spl_limiter import prepared as prepared
    from sweetspot.processor.dynamics.spl_limiter import together as together
else:
    from sweetspot.rigs.faces import lazy

    __getattr__ = lazy(__name__)
