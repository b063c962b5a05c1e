from collections import Counter

from lit_seq.data import IGNORED, Pronunciations
from lit_seq.data.bucketing import bucketed

# The Carnegie Mellon Pronouncing Dictionary's phoneme set, from its README.
ARPABET = (
    "AA AE AH AO AW AY B CH D DH EH ER EY F G HH IH IY JH K L M N NG OW OY P R S SH T TH UH UW V W Y Z ZH"
)


def test_words_and_their_pronunciations():
    data = Pronunciations(seed=1)
    pairs = data.read()["train"]
    words = [word for word, _ in pairs]
    assert len(pairs) == len(set(words)) == 50_000
    assert words == sorted(words)
    assert dict(pairs)["configurations"] == "K AH N F IH G Y ER EY SH AH N Z"
    assert sorted({phoneme for _, spoken in pairs for phoneme in spoken.split()}) == ARPABET.split()
    assert set("".join(words)) == set("abcdefghijklmnopqrstuvwxyz")


def test_batches_say_the_words():
    data = Pronunciations(seed=1, batch_size=100)
    task = data.task
    letters, phonemes = data.vocabularies
    assert (task.inputs, task.targets, task.alignment) == ("tokens", "classes", "own")
    assert (task.input_size, task.target_size) == (27, 41)
    assert phonemes.end == 40
    known, seen = dict(data.read()["train"]), Counter()
    for split in ("validation", "test"):
        for batch in data.loader(split):
            assert batch.targets.shape[1] <= task.target_length
            for word, target, length in zip(batch.inputs, batch.targets, batch.lengths.tolist(), strict=True):
                ends = target.tolist().index(phonemes.end)
                assert set(target[ends + 1 :].tolist()) <= {IGNORED}
                assert not word[length:].any()
                spelled = letters.decode(word[:length])
                assert known[spelled] == phonemes.decode(target)
                seen[spelled] += 1
    assert len(seen) == sum(seen.values()) == 2000


def test_training_words_are_of_similar_lengths_unless_told_otherwise():
    data = Pronunciations(seed=1, batch_size=50)
    other = Pronunciations(seed=1, batch_size=50, bucketing=False)
    waste = []
    for loader in (data.train_dataloader(), other.train_dataloader()):
        batches = [loader.batches[key] for key in loader.order(0)[:100]]
        waste.append(sum((batch.targets == IGNORED).sum() for batch in batches).item())
    assert waste[0] < waste[1] / 2
    pairs = data.train_dataloader().batches
    assert data.train_dataloader().order(3) == bucketed(pairs.steps, 50, 1)(3)
