"""Data modules: long text, labelled text, and problems that test long memory."""

from lit_seq.data.adding import AddingProblem
from lit_seq.data.associative_recall import AssociativeRecall
from lit_seq.data.batch import IGNORED, Batch
from lit_seq.data.captioned_shapes import CaptionedShapes
from lit_seq.data.captioning import Captioning
from lit_seq.data.copying import CopyingMemory
from lit_seq.data.digits import Digits
from lit_seq.data.forecasting import Forecasting
from lit_seq.data.generated import GeneratedData
from lit_seq.data.image_classification import ImageClassification
from lit_seq.data.listops import ListOps
from lit_seq.data.loader import Loader
from lit_seq.data.mackey_glass import MackeyGlass
from lit_seq.data.module import SequenceData, Split
from lit_seq.data.moving_digits import MovingDigits
from lit_seq.data.narma import NARMA10
from lit_seq.data.ntm_copy import NTMCopy
from lit_seq.data.parity import Parity
from lit_seq.data.pixel_sequence import PixelSequence
from lit_seq.data.poses import Pose
from lit_seq.data.pronunciations import Pronunciations
from lit_seq.data.reber import EmbeddedReber
from lit_seq.data.repeat_copy import RepeatCopy
from lit_seq.data.running_sum import RunningSum
from lit_seq.data.sentences import Sentences
from lit_seq.data.series_classification import SeriesClassification
from lit_seq.data.shakespeare import Shakespeare
from lit_seq.data.simulated_poses import SimulatedPoses
from lit_seq.data.single_fact import SingleFact
from lit_seq.data.slow_signal import SlowSignal
from lit_seq.data.streams import TextStreams
from lit_seq.data.sunspots import Sunspots
from lit_seq.data.tagging import Tagging
from lit_seq.data.task import Task
from lit_seq.data.temporal_order import TemporalOrder
from lit_seq.data.text import Text
from lit_seq.data.text_classification import TextClassification
from lit_seq.data.text_pairs import TextPairs
from lit_seq.data.translation import Translation
from lit_seq.data.tree import Tree
from lit_seq.data.treebank import Treebank
from lit_seq.data.trees import Trees
from lit_seq.data.verses import Verses
from lit_seq.data.video import Video
from lit_seq.data.vocabulary import Unit, Vocabulary

__all__ = [
    "IGNORED",
    "NARMA10",
    "AddingProblem",
    "AssociativeRecall",
    "Batch",
    "CaptionedShapes",
    "Captioning",
    "CopyingMemory",
    "Digits",
    "EmbeddedReber",
    "Forecasting",
    "GeneratedData",
    "ImageClassification",
    "ListOps",
    "Loader",
    "MackeyGlass",
    "MovingDigits",
    "NTMCopy",
    "Parity",
    "PixelSequence",
    "Pose",
    "Pronunciations",
    "RepeatCopy",
    "RunningSum",
    "Sentences",
    "SequenceData",
    "SeriesClassification",
    "Shakespeare",
    "SimulatedPoses",
    "SingleFact",
    "SlowSignal",
    "Split",
    "Sunspots",
    "Tagging",
    "Task",
    "TemporalOrder",
    "Text",
    "TextClassification",
    "TextPairs",
    "TextStreams",
    "Translation",
    "Tree",
    "Treebank",
    "Trees",
    "Unit",
    "Verses",
    "Video",
    "Vocabulary",
]
