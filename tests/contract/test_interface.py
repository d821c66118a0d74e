"""What every interface promises, over the virtual one and over PortAudio on the lab as a sound card."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sweetspot.rigs.errors import BadInput, TooLoud
from sweetspot.rigs.layout import Pose
from sweetspot.rigs.load import open_rig
from sweetspot.rigs.protocol import Rig
from sweetspot.rigs.rig_file.description import Description, parse

Starts = Callable[..., AbstractContextManager[Any]]


@pytest.fixture(scope="module", params=["lab", pytest.param("portaudio", marks=pytest.mark.server)])
def rig(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    crooked_text: str,
    crooked_card_text: Callable[[Path, str], str],
    jack_server: Starts,
    jack_lab: Starts,
) -> Iterator[Rig]:
    """The crooked rig, open, with its interface of each kind."""
    place = tmp_path_factory.mktemp("interface")
    if request.param == "lab":
        with open_rig(parse(crooked_text, folder=place), serial="T-3") as opened:
            yield opened
        return
    (place / "rig.toml").write_text(crooked_card_text(place / "turntable", ""))
    described = parse((place / "rig.toml").read_text(), folder=place)
    with (
        pytest.MonkeyPatch.context() as patch,
        jack_server(described.fs) as server,
        jack_lab(server, place / "rig.toml", "--unit", "T-3"),
    ):
        patch.setenv("JACK_DEFAULT_SERVER", server.name)
        with open_rig(described, serial="T-3") as opened:
            yield opened


def played(rig: Description, **channels: float) -> NDArray[np.float32]:
    """Noise on some drivers at a level each, and a click on the loopback."""
    y = np.zeros((rig.outputs, 12000), dtype=np.float32)
    y[rig.interface.loopback.out - 1, 10] = 0.9
    for name, level in channels.items():
        channel = next(d.channel for d in rig.driver if d.name == name)
        y[channel - 1, :6000] = level * np.random.default_rng(channel).uniform(-1, 1, 6000)
    return y


def loudness(x: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.sqrt(np.mean(np.square(x.astype(float)), axis=1))


class TestInterface:
    """The contract of :class:`sweetspot.rigs.protocol.Interface`."""

    def test_it_has_the_channels_and_the_rate_of_the_rig(self, rig: Rig) -> None:
        assert (rig.interface.fs, rig.interface.outputs, rig.interface.inputs) == (47872, 6, 4)

    def test_a_capture_is_as_long_as_what_was_played(self, rig: Rig) -> None:
        before = datetime.now().astimezone() - timedelta(milliseconds=1)
        heard = rig.interface.capture(played(rig.description))
        started = datetime.fromisoformat(heard.started)
        assert heard.x.shape == (4, 12000)
        assert heard.x.dtype == np.float32
        assert not heard.x.flags.writeable
        assert heard.fs == 47872
        assert heard.xruns >= 0
        assert started.utcoffset() == timedelta(0)
        assert before <= started <= datetime.now().astimezone()

    def test_the_loopback_is_heard_whole_and_always_as_late(self, rig: Rig) -> None:
        x = [rig.interface.capture(played(rig.description, left=0.3)).x[1] for _ in range(3)]
        late = {int(np.argmax(np.abs(row))) - 10 for row in x}
        assert len(late) == 1
        assert late.pop() >= rig.description.lab.latency_samples
        assert all(abs(float(row.max()) - 0.9) < 1e-3 for row in x)

    def test_each_driver_is_heard_by_the_microphones_and_by_no_other_input(self, rig: Rig) -> None:
        silent = loudness(rig.interface.capture(played(rig.description)).x)
        for name in rig.description.driver_names:
            heard = loudness(rig.interface.capture(played(rig.description, **{name: 0.3})).x)
            assert (heard[[0, 2, 3]] > 10 * silent[[0, 2, 3]]).all(), name
            assert heard[1] == pytest.approx(silent[1], rel=1e-2)

    def test_what_it_hears_adds_up(self, rig: Rig) -> None:
        """Superposition: both drivers at once are the sum of each alone, but for the loopback and the noise."""
        y = [played(rig.description, left=0.3), played(rig.description, right=-0.2)]
        apart = [rig.interface.capture(one).x.astype(float) for one in y]
        both = played(rig.description, left=0.3, right=-0.2)
        together = rig.interface.capture(both).x
        mics = [0, 2, 3]
        rest = loudness((together - apart[0] - apart[1])[mics])
        assert (rest < 1e-2 * loudness(together[mics])).all()

    def test_moving_the_stage_changes_what_the_microphones_hear(self, rig: Rig) -> None:
        y = played(rig.description, left=0.3)
        ahead = rig.interface.capture(y).x
        rig.stage.move(Pose(turn=1.0, y=0.05))
        moved = rig.interface.capture(y).x
        rig.stage.move(Pose())
        back = rig.interface.capture(y).x
        change = loudness(moved - ahead) / loudness(ahead)
        assert (change[[0, 2, 3]] > 0.3).all()
        assert change[1] < 1e-2
        assert (loudness(back - ahead) < 1e-2 * loudness(ahead)).all()

    def test_too_loud_is_refused(self, rig: Rig) -> None:
        y = played(rig.description)
        y[4, 3] = -0.6
        with pytest.raises(TooLoud, match=r"-4\.44 dBFS is above its limit of -5\.00 dBFS"):
            rig.interface.capture(y)

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_what_is_not_a_number_is_refused(self, rig: Rig, value: float) -> None:
        y = played(rig.description)
        y[0, 100] = value
        with pytest.raises(TooLoud, match="not finite"):
            rig.interface.capture(y)

    def test_another_number_of_channels_is_refused(self, rig: Rig) -> None:
        with pytest.raises(BadInput, match="6 outputs"):
            rig.interface.capture(np.zeros((5, 1000), dtype=np.float32))

    def test_what_is_played_is_left_alone(self, rig: Rig) -> None:
        y = played(rig.description, woofer=0.2)
        kept = y.copy()
        y.setflags(write=False)
        rig.interface.capture(y)
        assert np.array_equal(y, kept)

    def test_it_closes_twice(self, rig: Rig) -> None:
        """Last, for nothing is heard through it afterwards."""
        rig.interface.close()
        rig.interface.close()
