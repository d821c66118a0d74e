"""What holds levels while sound runs: the guard behind the filters."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweetspot.processor.dynamics import guard as guard
    from sweetspot.processor.dynamics.guard import STOP as STOP
    from sweetspot.processor.dynamics.guard import Guard as Guard
    from sweetspot.processor.dynamics.guard import hold as hold
    from sweetspot.processor.dynamics.guard import judge as judge
    from sweetspot.processor.dynamics.guard import judge_input as judge_input
    from sweetspot.processor.dynamics.guard import limited as limited
    from sweetspot.processor.dynamics.guard import memory_for as memory_for
    from sweetspot.processor.dynamics.guard import not_above as not_above
    from sweetspot.processor.dynamics.guard import reason as reason
else:
    from sweetspot.rigs.faces import lazy

    __getattr__ = lazy(__name__)
