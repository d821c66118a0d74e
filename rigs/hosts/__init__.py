"""Sound systems of a computer: settings of host APIs, JACK connections, calls that may block for ever."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweetspot.rigs.hosts import host_settings as host_settings
    from sweetspot.rigs.hosts import patchbay as patchbay
    from sweetspot.rigs.hosts.assertions import without_abort as without_abort
    from sweetspot.rigs.hosts.jack_client import ProcessCallback as ProcessCallback
    from sweetspot.rigs.hosts.jack_client import library as library
    from sweetspot.rigs.hosts.patchbay import Patchbay as Patchbay
    from sweetspot.rigs.hosts.timeout import Overdue as Overdue
    from sweetspot.rigs.hosts.timeout import Worker as Worker
else:
    from sweetspot.rigs.faces import lazy

    __getattr__ = lazy(__name__)
