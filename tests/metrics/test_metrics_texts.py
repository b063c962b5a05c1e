"""Metrics of texts against figures that others published or that other programs give."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lit_seq.metrics.edits import edit_distance
from lit_seq.metrics.texts import TEXT_METRICS, text_metrics, text_scores

# The example of sacrebleu's README ("Using SacreBLEU from Python").
SACREBLEU = [
    ("The dog bit the man.", ["The dog bit the man.", "The dog had bit the man."]),
    ("It wasn't surprising.", ["It was not unexpected.", "No one was surprised."]),
    ("The man had just bitten him.", ["The man bit him first.", "The man had bitten the dog."]),
]
CAPTIONS = [
    (
        "a red circle above a blue square",
        ["a red circle above a blue square", "a red disc over a blue box"],
    ),
    (
        "a small dog runs on the grass",
        ["a dog is running on green grass", "the small dog runs over the grass in the park"],
    ),
    (
        "two people walk",
        ["two people are walking down the street", "a man and a woman walk along a street"],
    ),
    ("a cat", ["a cat sleeps on the sofa", "a sleeping cat"]),
]


@pytest.mark.parametrize(
    ("name", "rows", "figure"),
    [
        # As that README prints them.
        ("bleu", SACREBLEU, 48.530827009929865),
        ("chrf", SACREBLEU, 59.73),
        # pycocoevalcap 1.2, Cider().compute_score of the same captions.
        ("cider", CAPTIONS, 2.709539635828887),
        # rouge_score 0.1.2 (Google's), the best F1 of the references, without stemming.
        ("rouge1", CAPTIONS, 0.6970588235294117),
        ("rouge2", CAPTIONS, 0.49583333333333335),
        ("rougeL", CAPTIONS, 0.6970588235294117),
        # The example in the documentation of nltk's meteor_score.
        (
            "meteor",
            [
                (
                    "It is a guide to action which ensures that the military always obeys the commands of the"
                    " party",
                    [
                        "It is a guide to action that ensures that the military will forever heed Party"
                        " commands"
                    ],
                )
            ],
            0.6944444444444445,
        ),
    ],
)
def test_figures_of_others(name, rows, figure):
    assert TEXT_METRICS[name](rows) == pytest.approx(figure, rel=1e-4 if figure == 59.73 else 1e-6)


def test_meteor_by_hand():
    """Runs and running have one stem: 3 of 4 words match, in one chunk, against 3 of 3."""
    precision, recall = 3 / 4, 1.0
    mean = precision * recall / (0.9 * precision + 0.1 * recall)
    assert TEXT_METRICS["meteor"]([("The dog runs now", ["the dog running."])]) == pytest.approx(
        mean * (1 - 0.5 * (1 / 3) ** 3)
    )


def test_cider_by_hand():
    """Of two rows only what one of them has weighs anything: log 2 each."""
    rows = [("red circle", ["red square"]), ("blue circle", ["blue circle"])]
    # Of red circle and red square the word red is shared, and no pair.
    words = math.log(2) ** 2 / (math.sqrt(2 * math.log(2) ** 2) * math.sqrt(2 * math.log(2) ** 2))
    assert TEXT_METRICS["cider"](rows) == pytest.approx(10 * (words / 4 + (1 + 1) / 4) / 2)
    assert TEXT_METRICS["cider"](rows[:1]) == 0


def test_accents_count_in_rouge():
    assert TEXT_METRICS["rouge1"]([("¿está él?", ["esta el"])]) == 0
    assert TEXT_METRICS["rouge1"]([("¿está Él?", ["Está él."])]) == pytest.approx(1)


symbols = st.lists(st.integers(0, 3), max_size=8)


@settings(deadline=None)
@given(symbols, symbols)
def test_edit_distance_is_the_least_over_all_first_steps(one, other):
    def recursive(x, y):
        if not x or not y:
            return len(x) + len(y)
        return min(recursive(x[1:], y) + 1, recursive(x, y[1:]) + 1, recursive(x[1:], y[1:]) + (x[0] != y[0]))

    one, other = one[:5], other[:5]
    assert edit_distance(one, other) == recursive(one, other)


def test_edit_distances_everyone_knows():
    assert edit_distance("kitten", "sitting") == 3
    assert edit_distance("intention", "execution") == 5
    assert edit_distance("", "abc") == edit_distance("abc", "") == 3
    assert edit_distance("", "") == 0


def test_error_rates_count_edits_of_all_rows_together():
    rows = [
        ("K AE T", ["K AE T"]),
        ("D AO", ["D AO G Z"]),
        ("", ["AH"]),
    ]
    assert TEXT_METRICS["phoneme_error_rate"](rows) == 3 / 8
    assert TEXT_METRICS["exact_match"](rows) == pytest.approx(1 / 3)
    texts = [("the cat sat", ["the cat sat down", "a cat sat"]), ("no", ["yes"])]
    # The second reference is as near as the first, and shorter.
    assert TEXT_METRICS["word_error_rate"](texts) == 2 / 4
    assert TEXT_METRICS["character_error_rate"]([("abc", ["abd"]), ("x", ["xyz"])]) == 3 / 6
    assert TEXT_METRICS["edit_distance"]([("abc", ["abd", "xyz"]), ("x", ["xyz"])]) == 1.5


def test_empty_answers_and_different_numbers_of_references():
    rows = [("", ["a dog", "one dog"]), ("a black cat is here", ["a black cat is here"])]
    scores = text_scores(rows, text_metrics("word"))
    assert set(scores) == set(TEXT_METRICS) - {"phoneme_error_rate"}
    assert all(math.isfinite(score) for score in scores.values())
    assert (scores["exact_match"], scores["rougeL"]) == (0.5, pytest.approx(0.5))
    assert 0 < scores["bleu"] < 100


def test_answers_that_are_all_right():
    rows = [("a b c d e f", ["a b c d e f"]), ("u v w x y z", ["other", "u v w x y z"])]
    scores = text_scores(rows, TEXT_METRICS)
    best = {"bleu": 100, "chrf": 100, "cider": 10, "edit_distance": 0}
    for name, score in scores.items():
        wanted = best.get(name, 0 if name.endswith("_rate") else 1)
        if name == "meteor":
            wanted = 1 - 0.5 * (1 / 6) ** 3
        if name == "cider":
            wanted = (10 + 5) / 2
        assert score == pytest.approx(wanted), name


def test_what_a_unit_is_judged_by():
    assert text_metrics("phoneme") == ("phoneme_error_rate", "exact_match")
    assert text_scores([], TEXT_METRICS) == {}
