"""Banks of filters that follow a listener: filters of every place, the listener's pose, and the choice of filters."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweetspot.processor.bank import osc as osc
    from sweetspot.processor.bank.filterbank import MOST_PLACES as MOST_PLACES
    from sweetspot.processor.bank.filterbank import FilterBank as FilterBank
    from sweetspot.processor.bank.filterbank import ListenerPose as ListenerPose
    from sweetspot.processor.bank.filterbank import pose_of as pose_of
    from sweetspot.processor.bank.follower import Follower as Follower
    from sweetspot.processor.bank.osc import MalformedPacketError as MalformedPacketError
    from sweetspot.processor.bank.path_file import ListenerPath as ListenerPath
    from sweetspot.processor.bank.path_file import read_path as read_path
    from sweetspot.processor.bank.stored import StoredBank as StoredBank
    from sweetspot.processor.bank.stored import read_group as read_group
    from sweetspot.processor.bank.stored import write_group as write_group
    from sweetspot.processor.bank.walk import WalkingEngine as WalkingEngine
else:
    from sweetspot.rigs.faces import lazy

    __getattr__ = lazy(__name__)
