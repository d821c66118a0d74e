"""limits.toml -> Limits: the limits of the verdict, checked whole; every key has a default."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from sweetspot.measure.judge import rub_and_buzz
from sweetspot.rigs.rig_file import Table, parse_as, read_text

Level = Annotated[float, Field(ge=-200, le=200, strict=True, json_schema_extra={"unit": "dB"})]
Microseconds = Annotated[float, Field(ge=0, le=1000, strict=True, json_schema_extra={"unit": "µs"})]
Milliseconds = Annotated[float, Field(ge=0, le=10_000, strict=True, json_schema_extra={"unit": "ms"})]
Angle = Annotated[float, Field(ge=0, le=180, strict=True, json_schema_extra={"unit": "degrees"})]
Turn = Annotated[float, Field(ge=0, le=360, strict=True, json_schema_extra={"unit": "degrees"})]
Cosine = Annotated[float, Field(ge=-1, le=1, strict=True)]


class Limits(Table):
    """Limits that a unit must meet to pass: given to verify with --limits."""

    cancellation_mean: Level = 12.0
    """Minimum mean cancellation over scoring positions, sides and third octaves from 800 Hz to 6.3 kHz."""
    cancellation_p10: Level = 6.0
    """Minimum 10th percentile of cancellation over the same positions, sides and third octaves."""
    target_shortfall: Level = -3.0
    """Minimum cancellation re the target curve in any third octave from 800 Hz to 6.3 kHz, mean over positions and
    sides; a negative value allows a shortfall."""
    agreement: Level = 1.0
    """Largest difference between predicted and measured level in any third octave from 200 Hz to 8 kHz."""
    difference: Level = -22.0
    """Largest complex error: power of measured minus predicted, re predicted, from 200 Hz to 5 kHz. It detects a driver
    that is 1 dB off or half a sample late, and a head displaced by some millimetres."""
    contrast: Level = 12.0
    """Minimum on-axis to off-axis contrast of the centre in any third octave from 400 Hz to 1.6 kHz."""
    balance: Level = 1.0
    """Largest level difference between the left program at the left ear and the right program at the right ear."""
    snr: Level = 20.0
    """Minimum SNR of any measured response."""
    interaural_level: Level = 1.5
    """Largest difference between predicted and measured interaural level difference, in any third octave, for either
    virtual loudspeaker."""
    interaural_delay: Microseconds = 40.0
    """Largest difference between predicted and measured interaural time difference, for either virtual loudspeaker."""
    colouration: Level = 6.0
    """Largest rms deviation of the phantom centre over third octaves."""
    beam_shape: Level = 2.0
    """Largest difference between predicted and measured level of the centre's beam outside its nulls."""
    polarity: Cosine = 0.5
    """Minimum cosine between measured and predicted responses; +1 correct, -1 inverted."""
    latency: Milliseconds = 100.0
    """Largest latency from stereo input to loudspeaker."""
    distortion: Level = -30.0
    """Largest total harmonic distortion in any octave, re the fundamental."""
    treble: Level = 3.0
    """Largest loss of level re the prediction in any third octave from 10 to 16 kHz, mean over positions and ears; not
    judged where the unit plays nothing."""
    rub_and_buzz: Level = rub_and_buzz.MOST_DB
    """Largest power of harmonics 10 and above within 21 ms, re the mean of the sweep."""
    guard: Level = 0.1
    """Largest sample at a processor's outputs, re the ceiling, for a programme that needs its guard."""
    side_azimuth: Angle = 7.0
    """Largest azimuth difference between a side's image and that of the reference pair."""
    centre_azimuth: Angle = 5.0
    """Largest azimuth difference between the centre's image and that of the reference pair."""
    width: Turn = 14.0
    """Largest difference from the reference pair's width, hard left to hard right."""
    focus: Angle = 10.0
    """Largest spread of the bands' azimuths in excess of the reference pair's."""
    asymmetry: Turn = 5.0
    """Largest sum of the azimuths of hard left and hard right, re the reference pair."""
    drr_loss: Level = 6.0
    """Largest loss of direct-to-reverberant ratio (DRR) re plain stereo on the same unit."""
    tone: Level = 2.0
    """Largest colouration across pan positions re the reference pair, rms over ERB bands."""
    loudness_loss: Level = 10.0
    """Largest loss of loudness re plain stereo at the same driver ceiling; 10 dB is half as loud."""
    coarsest: Annotated[float, Field(ge=0, le=20, strict=True)] = 4.0
    """Largest expanded uncertainty (`coverage` times the standard uncertainty) with which a comparison of measured and
    predicted passes: with more, anything agrees."""
    coverage: Annotated[float, Field(ge=0, le=5, strict=True)] = 2.0
    """Coverage factor: standard uncertainties by which a metric must clear its limit to be judged; nearer, it is
    inconclusive and measured again."""
    repeats: Annotated[int, Field(ge=0, le=5, strict=True)] = 1
    """Repeats of an inconclusive verification."""
    repeatability: Annotated[float, Field(ge=0, le=3, strict=True)] = 0.0
    """Standard deviation of a path from driver to ear when unit and head are set up again, in gain and alike in phase.
    It adds to the closure error of the sets; a gauge study of the rig shows whether more is needed."""

    @property
    def given(self) -> tuple[str, ...]:
        """Names of the limits that a file or a caller gave; the others may follow the design."""
        return tuple(name for name in type(self).model_fields if name in self.model_fields_set)

    def to_dict(self) -> dict[str, Any]:
        """All limits, and which were given, for JSON."""
        return {**self.model_dump(), "given": list(self.given)}

    @classmethod
    def of_dict(cls, stored: Mapping[str, Any]) -> Limits:
        """Limits of a stored verification; defaults for those that an earlier version lacks."""
        values = {k: v for k, v in stored.items() if k in cls.model_fields}
        return cls.model_construct(_fields_set=set(stored.get("given", ())), **values)


def read_limits(path: Path | None) -> Limits:
    """A limits.toml; ``None`` gives the defaults.

    Raises
    ------
    BadInput
        The file cannot be read, is no TOML, or holds faults: one line each.
    """
    return Limits() if path is None else parse_as(Limits, read_text(path, "limits file"), str(path))


def limits_text(values: Mapping[str, float], heading: str) -> str:
    """A limits.toml that :func:`read_limits` takes; ``heading`` becomes its comment."""
    return f"# {heading}\n" + "".join(f"{name} = {value:.2f}\n" for name, value in values.items())
