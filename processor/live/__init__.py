"""Live playback: the player process, its compiled callback, and the console process that shows and controls it."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweetspot.processor.live import memory as memory
    from sweetspot.processor.live.console import keyboard as keyboard
    from sweetspot.processor.live.console import load as load
    from sweetspot.processor.live.console import pair_of as pair_of
    from sweetspot.processor.live.console import press as press
    from sweetspot.processor.live.console import screen as screen
    from sweetspot.processor.live.offline import FileBlocks as FileBlocks
    from sweetspot.processor.live.player import PlayedProgram as PlayedProgram
    from sweetspot.processor.live.poses import PoseStream as PoseStream
    from sweetspot.processor.live.stream import LivePlayer as LivePlayer
    from sweetspot.processor.live.stream import Meters as Meters
    from sweetspot.processor.live.stream import playing as playing
else:
    from sweetspot.rigs.faces import lazy

    __getattr__ = lazy(__name__)
