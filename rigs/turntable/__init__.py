"""Stages: pure encoding and decoding of each protocol plus a thin transport."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweetspot.rigs.turntable import et250 as et250
    from sweetspot.rigs.turntable import scpi as scpi
    from sweetspot.rigs.turntable.et250 import BACKWARD as BACKWARD
    from sweetspot.rigs.turntable.et250 import DONE as DONE
    from sweetspot.rigs.turntable.et250 import FORWARD as FORWARD
    from sweetspot.rigs.turntable.et250 import MOVES as MOVES
    from sweetspot.rigs.turntable.et250 import READ as READ
    from sweetspot.rigs.turntable.et250 import REFUSED as REFUSED
    from sweetspot.rigs.turntable.et250 import STANDS as STANDS
    from sweetspot.rigs.turntable.et250 import STOP as STOP
    from sweetspot.rigs.turntable.et250 import ZERO as ZERO
    from sweetspot.rigs.turntable.grbl import LETTERS as LETTERS
    from sweetspot.rigs.turntable.grbl import GrblStage as GrblStage
    from sweetspot.rigs.turntable.grbl import axis_letters as axis_letters
    from sweetspot.rigs.turntable.grbl import pose_at as pose_at
    from sweetspot.rigs.turntable.manual import ManualStage as ManualStage
else:
    from sweetspot.rigs.faces import lazy

    __getattr__ = lazy(__name__)
