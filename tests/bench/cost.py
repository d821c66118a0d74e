"""Cost as work grows: CPU time of the filters against outputs, taps and block, beside zita-convolver and the limit.

Run it as ``python tests/bench/cost.py [--out tests/bench/cost.png] [--repeats 3]``; needs what :mod:`convolvers` needs.
Prints what it draws. Shares are of a block's duration on one core at 48 kHz.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from convolvers import Case, measured, zita

FS = 48000
SERIES: dict[str, list[Case]] = {
    "outputs": [(3, n, 4096, 256) for n in (1, 2, 4, 8, 16, 32)],
    "taps": [(3, 8, n, 256) for n in (256, 512, 1024, 2048, 4096, 8192, 16384)],
    "block": [(3, 8, 4096, n) for n in (64, 128, 256, 512, 1024, 2048)],
}
TITLES = {
    "outputs": "3 inputs, 4096 taps, block 256",
    "taps": "3 inputs, 8 outputs, block 256",
    "block": "3 inputs, 8 outputs, 4096 taps",
}
LINES = {"zita": ("zita-convolver, its best", "#b35900"), "call": ("ours, one Python call a block", "#7a9cc6")}
LINES |= {"kernel": ("ours", "#003f7f"), "limit": ("limit of the machine", "#888888")}


def share(case: Case, us: float) -> float:
    """Of a block's duration, percent."""
    return 1e-4 * us * FS / case[3]


def drawn(found: dict[str, list[dict[str, float]]], out: Path) -> None:
    """Three panels, one per thing that grows."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(10.5, 3.4), sharey=True, layout="constrained")
    for ax, (name, cases) in zip(axes, SERIES.items(), strict=True):
        values = [dict(zip(SERIES, case[1:], strict=True))[name] for case in cases]
        for key, (label, colour) in LINES.items():
            shares = [share(c, m[key]) for c, m in zip(cases, found[name], strict=True)]
            style = {"linestyle": "--"} if key == "limit" else {"marker": "o", "markersize": 3}
            ax.plot(values, shares, color=colour, label=label, **style)
        ax.set_xscale("log", base=2)
        ax.set_yscale("log")
        ax.set_xticks(values, [str(v) for v in values], fontsize=8)
        ax.minorticks_off()
        ax.set_xlabel(name)
        ax.set_title(TITLES[name], fontsize=9)
        ax.grid(alpha=0.3)
    axes[0].set_ylabel("CPU time, % of a block's duration")
    axes[0].legend(fontsize=8)
    figure.savefig(out, dpi=85)


def main() -> None:
    """Measure, print, draw."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".png"))
    options.add_argument("--repeats", type=int, default=3)
    chosen = options.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    found: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        binary = zita(Path(folder))
        for name, cases in SERIES.items():
            print(f"{name}: {TITLES[name]}; % of a block's duration: {', '.join(LINES)}")
            for case in cases:
                found.setdefault(name, []).append(measured(case, binary, chosen.repeats, None))
                shares = [share(case, found[name][-1][key]) for key in LINES]
                print(f"  {' x '.join(map(str, case)):>20} {' '.join(f'{s:8.3f}' for s in shares)}", flush=True)
    drawn(found, chosen.out)
    print(f"drawn: {chosen.out}")


if __name__ == "__main__":
    main()
