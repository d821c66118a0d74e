"""Separate devices for outputs and inputs, as some host APIs list them."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.hosts.host_settings import prepare, stream_settings
from sweetspot.rigs.portaudio import AudioDevice, chosen
from sweetspot.rigs.rig_file import Description, parse

FOUND = [
    AudioDevice(0, "Speakers (USB Box)", "Windows WASAPI", 0, 8, 48000.0),
    AudioDevice(1, "Line (USB Box)", "Windows WASAPI", 6, 0, 48000.0),
    AudioDevice(2, "Line (USB Box)", "MME", 6, 0, 44100.0),
    AudioDevice(3, "Small (Other)", "Windows WASAPI", 2, 0, 48000.0),
]


def rig(text: str, tmp_path: Path, devices: str) -> Description:
    lines = text.replace('driver = "lab"', f'driver = "portaudio"\n{devices}', 1)
    return parse(lines.replace('[stage]\ndriver = "lab"', '[stage]\ndriver = "fixed"'), folder=tmp_path)


def test_one_of_each_kind_of_one_host_api(crooked_text: str, tmp_path: Path) -> None:
    output, source = chosen(FOUND, rig(crooked_text, tmp_path, 'output = "USB Box"\ninput = "USB Box"'))
    assert (output.index, source.index) == (0, 1)


@pytest.mark.parametrize(
    ("devices", "reason"),
    [
        ('output = "USB Box"\ninput = "Small"', r"interface.input: the rig uses input channel 4"),
        ('output = "nothing"\ninput = "USB Box"', "interface.output: no audio device"),
    ],
)
def test_a_name_that_does_not_fit_is_reported_with_its_key(
    devices: str, reason: str, crooked_text: str, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=reason):
        chosen(FOUND, rig(crooked_text, tmp_path, devices))


@pytest.mark.parametrize("devices", ['output = "USB Box"', 'device = "x"\ninput = "y"', ""])
def test_a_rig_names_one_device_or_two(devices: str, crooked_text: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"interface\.device: .*; driver 'portaudio' needs"):
        rig(crooked_text, tmp_path, devices)


class Binding:
    """Stands in for ``sounddevice`` on Windows."""

    class WasapiSettings:
        def __init__(self, exclusive: bool) -> None:
            self.exclusive = exclusive


def test_settings_of_one_host_api(crooked_text: str, tmp_path: Path) -> None:
    both = 'output = "USB Box"\ninput = "USB Box"\n'
    table = rig(crooked_text, tmp_path, both).interface
    assert stream_settings(Binding, table, "Windows WASAPI") is None
    table = rig(crooked_text, tmp_path, both + "exclusive = true").interface
    assert stream_settings(Binding, table, "Windows WASAPI").exclusive is True
    with pytest.raises(BadInput, match=r"interface.exclusive: is a mode of Windows WASAPI; .* 'MME'"):
        stream_settings(Binding, table, "MME")


def test_what_must_be_known_before_portaudio_starts(crooked_text: str, tmp_path: Path) -> None:
    environment = {"JACK_DEFAULT_SERVER": "mine"}
    prepare(rig(crooked_text, tmp_path, 'device = "x"').interface, environment)
    assert environment == {"JACK_DEFAULT_SERVER": "mine"}
    prepare(rig(crooked_text, tmp_path, 'device = "x"\nasio = true\njack_server = "desk"').interface, environment)
    assert environment == {"JACK_DEFAULT_SERVER": "desk", "SD_ENABLE_ASIO": "1"}
    with pytest.raises(BadInput, match=r"interface.jack_server"):
        rig(crooked_text, tmp_path, 'device = "x"\njack_server = "two words"')
