"""Lab faults given on the command line, in addition to the rig file's schedule."""

from __future__ import annotations

from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.rig_file.description import Description
from sweetspot.rigs.rig_file.lab_faults import misfits, parse_fault


def with_faults(rig: Description, texts: list[str] | None, *, card: bool = False) -> Description:
    """A rig with more faults than its file schedules; ``card`` is true for the lab that runs as a sound card.

    Raises
    ------
    BadInput
        A text is no fault, names what the rig has not, or nothing in this program would act on it.
    """
    if not texts:
        return rig
    if not card and rig.interface.driver != "lab":
        raise BadInput(
            f"--fault: rig {rig.name!r} plays through a device (interface.driver = {rig.interface.driver!r}), and "
            "faults happen in the virtual lab: give --fault to the sweetspot rig lab that is this device"
        )
    wrong: list[str] = []
    for text in texts:
        try:
            fault = parse_fault(text)
            wrong += misfits(fault, rig.driver_names, [m.name for m in rig.mic], rig.lab.latency_samples)
            if card and fault.kind == "disk-full":
                wrong.append(f"fault {text!r}: a sound card writes no files; use a rig in process")
        except ValueError as fault_in_words:
            wrong.append(str(fault_in_words))
    if wrong:
        raise BadInput("\n".join(f"--fault: {w}" for w in wrong))
    both = rig.lab.faults.model_copy(update={"schedule": (*rig.lab.faults.schedule, *texts)})
    return rig.model_copy(update={"lab": rig.lab.model_copy(update={"faults": both})})
