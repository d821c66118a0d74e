"""The rig file: its tables, the check of the whole file, and messages for its faults."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweetspot.rigs.rig_file import scaffold as scaffold
    from sweetspot.rigs.rig_file.added_faults import with_faults as with_faults
    from sweetspot.rigs.rig_file.description import EARS as EARS
    from sweetspot.rigs.rig_file.description import Description as Description
    from sweetspot.rigs.rig_file.description import Driver as Driver
    from sweetspot.rigs.rig_file.description import Lab as Lab
    from sweetspot.rigs.rig_file.description import Mic as Mic
    from sweetspot.rigs.rig_file.description import copy_name as copy_name
    from sweetspot.rigs.rig_file.description import parse as parse
    from sweetspot.rigs.rig_file.description import read as read
    from sweetspot.rigs.rig_file.description import rig_keys as rig_keys
    from sweetspot.rigs.rig_file.keys import KeyTable as KeyTable
    from sweetspot.rigs.rig_file.keys import Wording as Wording
    from sweetspot.rigs.rig_file.keys import key_tables as key_tables
    from sweetspot.rigs.rig_file.keys import keys_page as keys_page
    from sweetspot.rigs.rig_file.lab_faults import JUMP_MAX as JUMP_MAX
    from sweetspot.rigs.rig_file.lab_faults import STAGE as STAGE
    from sweetspot.rigs.rig_file.lab_faults import Fault as Fault
    from sweetspot.rigs.rig_file.lab_faults import listing as listing
    from sweetspot.rigs.rig_file.lab_faults import parse_fault as parse_fault
    from sweetspot.rigs.rig_file.lab_tables import Absorption as Absorption
    from sweetspot.rigs.rig_file.lab_tables import DistortionTable as DistortionTable
    from sweetspot.rigs.rig_file.lab_tables import RoomTable as RoomTable
    from sweetspot.rigs.rig_file.lab_tables import SpreadTable as SpreadTable
    from sweetspot.rigs.rig_file.lab_tables import ThermalTable as ThermalTable
    from sweetspot.rigs.rig_file.output_limits import DriverLimits as DriverLimits
    from sweetspot.rigs.rig_file.output_limits import OutputLimits as OutputLimits
    from sweetspot.rigs.rig_file.output_limits import limits_in as limits_in
    from sweetspot.rigs.rig_file.output_limits import limits_of as limits_of
    from sweetspot.rigs.rig_file.output_limits import reading_limits as reading_limits
    from sweetspot.rigs.rig_file.output_tables import InterfaceTable as InterfaceTable
    from sweetspot.rigs.rig_file.table import Table as Table
    from sweetspot.rigs.rig_file.tables import CommandTable as CommandTable
    from sweetspot.rigs.rig_file.tables import StageTable as StageTable
    from sweetspot.rigs.rig_file.toml_file import parse_as as parse_as
    from sweetspot.rigs.rig_file.toml_file import read_text as read_text
else:
    from sweetspot.rigs.faces import lazy

    __getattr__ = lazy(__name__)
