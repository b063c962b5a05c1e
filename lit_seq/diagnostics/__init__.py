"""What happens inside a recurrent network while it trains: Lightning callbacks, for single trials and packs.

Each measures after the first step, every so many, half-way and at the end, on the first held-out sequences
and without dropout, and changes nothing about training. What it finds goes to diagnostics/NAME.npz in the run
folder, to metrics.csv and W&B as numbers `diagnostics/…`, and to samples.jsonl, reports and W&B as drawings.

    lit-seq fit … --trainer.callbacks+=GradientFlow --trainer.callbacks.every=200
"""

from lit_seq.diagnostics.clipped_steps import ClippedSteps
from lit_seq.diagnostics.diagnostic import Diagnostic, Findings
from lit_seq.diagnostics.gates import GateSaturation
from lit_seq.diagnostics.gradient_flow import GradientFlow
from lit_seq.diagnostics.spectra import Spectra
from lit_seq.diagnostics.state_jacobians import StateJacobians

__all__ = [
    "ClippedSteps",
    "Diagnostic",
    "Findings",
    "GateSaturation",
    "GradientFlow",
    "Spectra",
    "StateJacobians",
]
