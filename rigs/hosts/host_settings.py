"""Settings of single host APIs that a rig file names: ASIO, WASAPI's exclusive mode, the JACK server."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

from sweetspot.rigs.errors import BadInput

if TYPE_CHECKING:
    from sweetspot.rigs.rig_file import InterfaceTable

ASIO, JACK = "SD_ENABLE_ASIO", "JACK_DEFAULT_SERVER"
"""Variables of the environment that PortAudio's binding and the JACK library read when they start."""

WASAPI = "Windows WASAPI"


def prepare(table: InterfaceTable, environment: MutableMapping[str, str]) -> None:
    """Set the environment variables that PortAudio needs before it starts.

    A variable that is already set is kept unless the rig sets it.
    """
    if table.asio:
        environment[ASIO] = "1"
    if table.jack_server is not None:
        environment[JACK] = table.jack_server


def stream_settings(sd: Any, table: InterfaceTable, hostapi: str) -> Any:
    """``extra_settings`` of a stream on a host API; ``None`` for none.

    Raises
    ------
    BadInput
        Exclusive mode is requested on a host API other than WASAPI.
    """
    if not table.exclusive:
        return None
    if hostapi != WASAPI:
        raise BadInput(
            f"interface.exclusive: is a mode of {WASAPI}; the device was found on {hostapi!r}: give "
            'interface.hostapi = "WASAPI", or leave interface.exclusive out'
        )
    return sd.WasapiSettings(exclusive=True)
