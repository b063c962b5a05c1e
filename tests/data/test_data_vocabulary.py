import json

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lit_seq.data import Vocabulary

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
@given(st.text(), st.sampled_from(["character", "byte", "word"]))
def test_survives_json(text, unit):
    vocabulary = Vocabulary.of([text], unit)
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
