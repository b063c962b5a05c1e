import json
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lit_seq.data import Vocabulary
from lit_seq.data.vocabulary import END
from lit_seq.errors import UserError

words = st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=1)


@settings(deadline=None)
@given(st.text(min_size=1), st.sampled_from(["character", "byte"]))
def test_decoding_gives_the_encoded_text_back(text, unit):
    vocabulary = Vocabulary.of([text.replace("\N{REPLACEMENT CHARACTER}", "")], unit)
    numbers = vocabulary.encode(text)
    assert numbers.dtype == torch.int64
    assert len(numbers) == len(text if unit == "character" else text.encode())
    assert numbers.min() >= 0
    assert numbers.max() < len(vocabulary)
    assert vocabulary.decode(numbers) == text


@settings(deadline=None)
@given(st.lists(st.lists(words, min_size=1), min_size=1))
def test_words_come_back_with_single_spaces(lines):
    vocabulary = Vocabulary.of([" ".join(line) for line in lines], "word")
    text = " \n ".join("\t ".join(line) for line in lines)
    known = Vocabulary("word", (*vocabulary.symbols, "\n"))
    assert known.decode(known.encode(text)) == "\n".join(" ".join(line) for line in lines)


@settings(deadline=None)
@given(st.text(), st.sampled_from(["character", "byte", "word", "phoneme", "subword"]), st.booleans())
def test_survives_json(text, unit, end):
    vocabulary = Vocabulary.of([text, text], unit, end=end)
    again = Vocabulary.from_dict(json.loads(json.dumps(vocabulary.to_dict())))
    assert again == vocabulary
    assert again.encode(text).tolist() == vocabulary.encode(text).tolist()


def test_frequent_symbols_first_and_rare_ones_unknown():
    vocabulary = Vocabulary.of(["caab", "bcb"], "character")
    assert vocabulary.symbols == ("\ufffd", "b", "a", "c")
    small = Vocabulary.of(["caab", "bcb"], "character", size=3)
    assert small.symbols == ("\ufffd", "b", "a")
    assert small.encode("abcx").tolist() == [2, 1, 0, 0]
    assert small.decode([2, 1, 0]) == "ab\ufffd"


def test_numbers_by_hand():
    assert Vocabulary("byte").encode("é\n").tolist() == [0xC3, 0xA9, 10]
    vocabulary = Vocabulary.of(["to be to be or or \n \n \n \n"], "word")
    assert vocabulary.symbols == ("<unk>", "\n", "be", "or", "to")
    assert vocabulary.encode("to be  or\tnot to  be\n?").tolist() == [4, 2, 3, 0, 4, 2, 1, 0]


def test_the_text_may_hold_the_unknown_symbol():
    vocabulary = Vocabulary.of(["a <unk> <unk> b"], "word")
    assert vocabulary.symbols == ("<unk>", "a", "b")
    assert vocabulary.decode(vocabulary.encode("a <unk> c")) == "a <unk> <unk>"


def test_broken_bytes_are_shown_as_such():
    assert Vocabulary("byte").decode([0x61, 0xC3]) == "a\ufffd"
    assert len(Vocabulary("byte")) == 256


UNITS = ["character", "byte", "word", "phoneme", "subword"]


@pytest.mark.parametrize("unit", UNITS)
def test_the_end_is_behind_all_symbols_and_stops_decoding(unit):
    texts = ["low lower lowest", "é low"]
    open_ended, ending = Vocabulary.of(texts, unit), Vocabulary.of(texts, unit, end=True)
    assert open_ended.end is None
    assert ending.end == len(open_ended) == len(ending) - 1
    numbers = open_ended.encode("low lower").tolist()
    assert ending.encode("low lower").tolist() == [*numbers, ending.end]
    assert ending.decode([*numbers, ending.end, 0, ending.end, 1]) == "low lower"
    assert ending.decode(numbers) == "low lower"
    assert ending.decode([ending.end]) == ""
    assert ending.pieces([numbers[0], ending.end]) == [*open_ended.pieces(numbers[:1]), END]


def test_a_size_counts_the_end():
    vocabulary = Vocabulary.of(["caab", "bcb"], "character", size=4, end=True)
    assert vocabulary.symbols == ("\ufffd", "b", "a")
    assert len(vocabulary) == 4
    assert len(Vocabulary.of(["a a a ab ab ab"], "subword", size=258, end=True)) == 258


def test_subwords_join_the_most_frequent_pairs():
    """The example of Sennrich et al. 2016, section 3.2, in whose first steps "es" and "est" are joined."""
    words = ["low"] * 5 + ["lower"] * 2 + ["newest"] * 6 + ["widest"] * 3
    vocabulary = Vocabulary.of(words, "subword", size=256 + 3)
    assert vocabulary.merges == ("e s", "es t", "l o")
    assert vocabulary.symbols[256:] == ("es", "est", "lo")
    assert vocabulary.pieces(vocabulary.encode("lowest")) == ["lo", "w", "est"]


@settings(deadline=None, max_examples=50)
@given(st.text())
def test_subwords_give_any_text_back(text):
    vocabulary = SUBWORDS
    numbers = vocabulary.encode(text)
    assert numbers.dtype == torch.int64
    assert vocabulary.decode(numbers) == text
    again = Vocabulary.from_dict(json.loads(json.dumps(vocabulary.to_dict())))
    assert again.encode(text).tolist() == numbers.tolist()


SUBWORDS = Vocabulary.of(["the lower newest wide lowest", "lower low\nñandú ñandú"], "subword", size=300)


def test_a_used_subword_vocabulary_can_be_pickled():
    numbers = SUBWORDS.encode("low").tolist()
    assert pickle.loads(pickle.dumps(SUBWORDS)).encode("low").tolist() == numbers


def test_subwords_need_all_bytes():
    with pytest.raises(UserError) as error:
        Vocabulary.of(["a"], "subword", size=256, end=True)
    assert str(error.value) == (
        "a vocabulary of 256 is too small for subwords, which need 257 at least: all bytes and the end token."
    )
