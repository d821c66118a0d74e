"""limits.toml -> Limits: what a unit must reach to pass, checked whole; every key has a default."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from sweetspot.rigs.rig_file import parse_as, read_text

Level = Annotated[float, Field(ge=-200, le=200, strict=True, json_schema_extra={"unit": "dB"})]
Microseconds = Annotated[float, Field(ge=0, le=1000, strict=True, json_schema_extra={"unit": "µs"})]
Milliseconds = Annotated[float, Field(ge=0, le=10_000, strict=True, json_schema_extra={"unit": "ms"})]
Angle = Annotated[float, Field(ge=0, le=180, strict=True, json_schema_extra={"unit": "degrees"})]
Turn = Annotated[float, Field(ge=0, le=360, strict=True, json_schema_extra={"unit": "degrees"})]
Cosine = Annotated[float, Field(ge=-1, le=1, strict=True)]


class Limits(BaseModel):
    """What a unit must reach to pass: given to verify with --limits."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)

    cancellation_mean: Level = 12.0
    """Least mean cancellation over scoring positions, sides and third octaves from 800 Hz to 6.3 kHz."""
    cancellation_p10: Level = 6.0
    """Least 10th percentile of it, over the same positions, sides and third octaves."""
    target_shortfall: Level = -3.0
    """Least cancellation over the target curve in any third octave from 800 Hz to 6.3 kHz, mean over positions and
    sides; negative when it may fall short."""
    agreement: Level = 1.0
    """Largest difference between predicted and measured in any third octave from 200 Hz to 8 kHz."""
    difference: Level = -22.0
    """Largest power of measured minus predicted over that of the predicted, phase included, from 200 Hz to 5 kHz. It
    notices a driver that is 1 dB off or half a sample late, and a head that stands elsewhere by some millimetres."""
    contrast: Level = 12.0
    """Least on-axis to off-axis contrast of the centre in any third octave from 400 Hz to 1.6 kHz."""
    balance: Level = 1.0
    """Largest difference in level between the left program at the left ear and the right one at the right ear."""
    snr: Level = 20.0
    """Least signal to noise of any measured response."""
    interaural_level: Level = 1.5
    """Largest difference between predicted and measured in level between the ears, in any third octave, for either
    virtual loudspeaker."""
    interaural_delay: Microseconds = 40.0
    """Largest difference between predicted and measured in delay between the ears, for either virtual loudspeaker."""
    colouration: Level = 6.0
    """Largest rms deviation of the phantom centre's third octaves."""
    beam_shape: Level = 2.0
    """Largest difference between predicted and measured in the centre's beam outside its nulls."""
    polarity: Cosine = 0.5
    """Least cosine between measured and predicted; +1 correct, -1 inverted."""
    latency: Milliseconds = 100.0
    """Largest from stereo input to loudspeaker."""
    distortion: Level = -30.0
    """Largest total harmonic distortion in any octave, re the fundamental."""
    guard: Level = 0.1
    """Largest sample at a processor's outputs while a program that needs its guard is played, re the ceiling."""
    side_azimuth: Angle = 7.0
    """Largest distance of a side's image from that of the reference pair."""
    centre_azimuth: Angle = 5.0
    """Largest distance of the centre's image from that of the reference pair."""
    width: Turn = 14.0
    """Largest difference from the reference pair's width, hard left to hard right."""
    focus: Angle = 10.0
    """Largest scatter of the bands' azimuths beyond that of the reference pair."""
    asymmetry: Turn = 7.0
    """Largest azimuth of hard left plus that of hard right, against the reference pair."""
    drr_loss: Level = 6.0
    """Largest loss of direct over reverberant sound against plain stereo on the same unit."""
    tone: Level = 2.0
    """Largest colouration across pan against the reference pair, rms over ERB bands."""
    loudness_loss: Level = 10.0
    """Largest loss of loudness against plain stereo at the same driver ceiling; 10 dB is half as loud."""
    coarsest: Annotated[float, Field(ge=0, le=20, strict=True)] = 4.0
    """Largest uncertainty, `coverage` times the standard one, with which a figure of measured against predicted passes:
    what is measured more coarsely than that agrees with anything."""
    coverage: Annotated[float, Field(ge=0, le=5, strict=True)] = 2.0
    """How many standard uncertainties a figure must be away from its limit before it is judged; nearer, it is grey:
    neither passed nor failed, but measured again."""
    repeats: Annotated[int, Field(ge=0, le=5, strict=True)] = 1
    """How often an inconclusive verification is repeated before it stays so."""
    repeatability: Annotated[float, Field(ge=0, le=3, strict=True)] = 0.0
    """By how much a path from driver to ear may differ when the unit, the head and the air are met again: one standard
    deviation in gain, and as much in phase. It adds to what the sets themselves tell by how well they close; a gauge
    study of one's own rig tells whether more is needed."""

    @property
    def given(self) -> tuple[str, ...]:
        """Names of the limits that a file or a caller gave; the others may follow the design."""
        return tuple(name for name in type(self).model_fields if name in self.model_fields_set)

    def to_dict(self) -> dict[str, Any]:
        """All limits, and which were given, for JSON."""
        return {**self.model_dump(), "given": list(self.given)}

    @classmethod
    def of_dict(cls, stored: Mapping[str, Any]) -> Limits:
        """Limits as a verification was judged by them; defaults for what an earlier version lacks."""
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
