"""Disclosed distributions of one tokenizer at the tokens of another: where a token of each begins after the same
characters, both are asked what follows the same text.

Left out: the tokens that begin elsewhere (huggingface/trl's GOLD merges what lies between into one probability), those
that begin within a character, and replies whose tokens read otherwise than their text, from there on. They keep their
text, and nothing disclosed.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from spiritsafe.attack import Example
from spiritsafe.models import LanguageModel

Decode = Callable[[Sequence[int]], str]
PART = "\ufffd"  # what a character reads as while some of its bytes are missing


def starts(ids: Sequence[int], decode: Decode) -> list[int | None]:
    """How many characters stand before each token; None where it begins within one.

    Each token is read after the ones before it, since some tokenizers strip the space of a lone token.
    """
    places: list[int | None] = []
    characters, first, read = 0, 0, 0
    for i in range(len(ids)):
        places.append(characters if read == i else None)
        text = decode(ids[first : i + 1])
        if not text.endswith(PART):
            characters += len(text) - len(decode(ids[first:read]))
            first, read = read, i + 1
    return places if characters == len(decode(ids)) else [None] * len(ids)


def aligned(language_model: LanguageModel, examples: Sequence[Example], decode: Decode) -> list[Example]:
    """The examples with the student's own tokens, and the disclosed log probabilities where they align.

    ``decode`` reads the teacher's tokens. The ids of what was disclosed mean nothing here: ranks stand in their place.
    """
    rows = []
    for example in examples:
        ids = language_model.completion_ids(example.completion)
        row = replace(example, token_ids=tuple(ids), top_ids=(), top_logprobs=())
        if example.top_logprobs:
            shown = dict(zip(_shared(example.token_ids, decode), example.top_logprobs, strict=True))
            agreed = _agreed(decode(example.token_ids), language_model.decode(ids))
            places = _shared(ids, language_model.decode)
            values = tuple(shown.get(place, ()) if place is not None and place < agreed else () for place in places)
            row = replace(row, top_ids=tuple(tuple(range(len(value))) for value in values), top_logprobs=values)
        rows.append(row)
    return rows


def _shared(ids: Sequence[int], decode: Decode) -> list[int | None]:
    """`starts`, and None where several tokens begin: marks that read as nothing hide which of them comes first."""
    places = starts(ids, decode)
    count = Counter(places)
    return [place if count[place] == 1 else None for place in places]


def _agreed(theirs: str, ours: str) -> int:
    """The first character that no token may begin at: both ends count as one where the texts are the same."""
    if theirs == ours:
        return len(ours) + 1
    pairs = enumerate(zip(theirs, ours, strict=False))
    return next((i for i, (one, other) in pairs if one != other), min(len(theirs), len(ours)))
