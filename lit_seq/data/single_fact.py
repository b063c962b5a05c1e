"""Questions on a story, answered by one of its sentences."""

from typing import Any

import torch

from lit_seq.data.batch import Batch
from lit_seq.data.generated import GeneratedData
from lit_seq.data.task import Task
from lit_seq.data.vocabulary import UNKNOWN, Vocabulary

PEOPLE = ("mary", "john", "daniel", "sandra", "julie", "bill", "fred", "jeff")
PLACES = ("bathroom", "bedroom", "garden", "hallway", "kitchen", "office", "park", "school", "cinema", "bar")
VERBS = ("moved", "went", "journeyed", "travelled")

WORDS = 5
"""Words of every sentence, and of the question."""


class SingleFact(GeneratedData):
    """Single supporting fact: where somebody in a story is, for memory that is searched by a question.

    The story is sentences of five words, mary went to the kitchen, with person, verb and place at random;
    then comes a question of five, where is mary now ?, about the person of one of the sentences, drawn at
    random. The answer is the place of the last sentence about that person. An answer without memory is
    right in 1/places of the stories; the place of the last sentence of all is, with S sentences and N
    people, in q + (1 - q)/places with q = 1/S + (1 - 1/S)/N.

    Batch: inputs (batch, (S + 1)·5) int64, word after word, the question last; targets (batch,) int64.

    Source: after task 1 of Weston et al. 2015, section 3.1, with a world of its own: nothing is downloaded.

    Args:
        sentences: S.
        people: N, at most 8.
        places: at most 10.
        generated: the arguments of `GeneratedData`.
    """

    def __init__(self, sentences: int = 10, people: int = 4, places: int = 6, **generated: Any) -> None:
        super().__init__(**generated)
        self.sentences = self._at_least(1, sentences=sentences)
        for name, value, least, names in (("people", people, 1, PEOPLE), ("places", places, 2, PLACES)):
            if not least <= value <= len(names):
                raise self._wrong(f"{name} is {value}; it must be from {least} to {len(names)}.")
        self.people, self.places = people, places

    @property
    def vocabulary(self) -> Vocabulary:
        """The words; places are the last."""
        words = (*("to", "the", "where", "is", "now", "?"), *VERBS)
        return Vocabulary("word", (UNKNOWN["word"], *words, *PEOPLE[: self.people], *PLACES[: self.places]))

    @property
    def task(self) -> Task:
        """Words in, a place out."""
        vocabulary, labels = self.vocabulary, PLACES[: self.places]
        return Task(
            *("tokens", len(vocabulary), "classes", len(labels), "sequence"), vocabulary.to_dict(), labels
        )

    def generate(self, size: int, generator: torch.Generator) -> Batch:
        """Draw `size` stories."""
        people, verbs, places = (
            torch.randint(count, (size, self.sentences), generator=generator)
            for count in (self.people, len(VERBS), self.places)
        )
        about = torch.randint(self.sentences, (size, 1), generator=generator)
        asked = people.gather(1, about)
        last = ((people == asked) * torch.arange(self.sentences)).argmax(1, keepdim=True)

        encode = self.vocabulary.encode
        person, verb, place = (
            encode(" ".join(words)) for words in (PEOPLE[: self.people], VERBS, PLACES[: self.places])
        )
        story = encode("_ _ to the _").repeat(size, self.sentences, 1)
        for word, (names, drawn) in {0: (person, people), 1: (verb, verbs), 4: (place, places)}.items():
            story[..., word] = names[drawn]
        question = encode("where is _ now ?").repeat(size, 1)
        question[:, 2:3] = person[asked]
        return Batch(torch.cat([story.flatten(1), question], 1), places.gather(1, last).squeeze(1))
