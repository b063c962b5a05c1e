"""The LightningModules: one for each shape of input and output."""

from lit_seq.topologies.categorical_hmm import CategoricalHMM
from lit_seq.topologies.decoding import Beam, Greedy, Sampled, Search
from lit_seq.topologies.encoder_decoder import EncoderDecoder
from lit_seq.topologies.forecaster import Forecaster
from lit_seq.topologies.gaussian_hmm import GaussianHMM
from lit_seq.topologies.language_model import LanguageModel
from lit_seq.topologies.linear_dynamical_system import LinearDynamicalSystem
from lit_seq.topologies.many_to_many import ManyToMany
from lit_seq.topologies.many_to_one import ManyToOne
from lit_seq.topologies.measured import Measured
from lit_seq.topologies.motif_autoencoder import MotifAutoencoder
from lit_seq.topologies.one_to_many import OneToMany
from lit_seq.topologies.one_to_one import OneToOne
from lit_seq.topologies.output_feedback import OutputFeedback
from lit_seq.topologies.recurrent import Recurrent
from lit_seq.topologies.recursive import Recursive
from lit_seq.topologies.ridge_readout import RidgeReadout
from lit_seq.topologies.series_model import SeriesModel
from lit_seq.topologies.text_model import TextModel
from lit_seq.topologies.topology import Topology

__all__ = [
    "Beam",
    "CategoricalHMM",
    "EncoderDecoder",
    "Forecaster",
    "GaussianHMM",
    "Greedy",
    "LanguageModel",
    "LinearDynamicalSystem",
    "ManyToMany",
    "ManyToOne",
    "Measured",
    "MotifAutoencoder",
    "OneToMany",
    "OneToOne",
    "OutputFeedback",
    "Recurrent",
    "Recursive",
    "RidgeReadout",
    "Sampled",
    "Search",
    "SeriesModel",
    "TextModel",
    "Topology",
]
