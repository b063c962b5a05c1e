"""The LightningModules: one for each shape of input and output."""

from lit_seq.topologies.forecaster import Forecaster
from lit_seq.topologies.language_model import LanguageModel
from lit_seq.topologies.many_to_many import ManyToMany
from lit_seq.topologies.many_to_one import ManyToOne
from lit_seq.topologies.measured import Measured
from lit_seq.topologies.output_feedback import OutputFeedback
from lit_seq.topologies.recurrent import Recurrent
from lit_seq.topologies.ridge_readout import RidgeReadout
from lit_seq.topologies.topology import Topology

__all__ = [
    "Forecaster",
    "LanguageModel",
    "ManyToMany",
    "ManyToOne",
    "Measured",
    "OutputFeedback",
    "Recurrent",
    "RidgeReadout",
    "Topology",
]
