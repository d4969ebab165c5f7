"""The wording of questions: what was asked, the same conversation with other words, how alike two
questions are, and what a reply says in the end.

Likeness is the cosine of hashed bags of words (Weinberger et al., ICML 2009, arXiv 0902.2206): no model, no vocabulary.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from spiritsafe.exchange import END_THINK, Message, Reply


def last_user(messages: Sequence[Message]) -> int | None:
    """The place of the last thing a user said."""
    return next((place for place in reversed(range(len(messages))) if messages[place].role == "user"), None)


def question(messages: Sequence[Message]) -> str:
    place = last_user(messages)
    return "" if place is None else messages[place].content


def reworded(messages: Sequence[Message], text: str) -> tuple[Message, ...]:
    """The conversation with ``text`` for its last question."""
    place = last_user(messages)
    if place is None:
        return (*messages, Message("user", text))
    return (*messages[:place], replace(messages[place], content=text), *messages[place + 1 :])


def normalised(text: str) -> str:
    return " ".join(words(text))


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def bags(texts: Sequence[str], width: int = 1024) -> NDArray[np.float32]:
    """[texts, width]: bags of words, hashed with signs, of length 1 (0 for a text without words)."""
    embedded = np.zeros((len(texts), width), np.float32)
    for row, text in enumerate(texts):
        hashes = np.array([crc32(word.encode()) for word in words(text)], np.int64)
        np.add.at(embedded[row], hashes % width, np.where(hashes & (1 << 31), 1.0, -1.0))
    norms = np.linalg.norm(embedded, axis=1, keepdims=True)
    return np.divide(embedded, norms, out=embedded, where=norms > 0)


def answer(reply: Reply) -> str:
    """What a reply says last: its visible text, or the end of reasoning that was never closed. Long text counts by its
    last line, where worked solutions put the answer."""
    said = reply.completion.rpartition(END_THINK)[2].strip()
    return normalised(said.splitlines()[-1]) if said else ""
