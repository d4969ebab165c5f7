"""From completion tokens to a reply: end tokens, stop strings, and the reasoning between its marks."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from spiritsafe.exchange import END_THINK, THINK, Outcome, Reply, Usage
from spiritsafe.models import LanguageModel
from teacher.job import Job


@dataclass(frozen=True)
class Ending:
    """``characters`` is where a stop string cuts the text; None leaves it whole."""

    finish: Literal["stop", "length"]
    characters: int | None = None


class Completions:
    """What the completion tokens of one model say."""

    def __init__(self, language_model: LanguageModel) -> None:
        self.language_model = language_model

    def notable(self, stops: Collection[str]) -> Tensor:
        """[vocabulary] bool: tokens after which a row may end; only such rows are looked at as text.

        These are the end tokens, and those that hold the last character of a stop string or a part of a character that
        several tokens share. Some tokenizers strip the spaces of a lone token, so after a stop that ends in a space
        every token counts.
        """
        notable = torch.zeros(self.language_model.vocabulary, dtype=torch.bool)
        if last := {stop[-1] for stop in stops}:
            notable |= torch.tensor(
                [" " in last or "\ufffd" in piece or not last.isdisjoint(piece) for piece in self._pieces]
            )
        notable[list(self.language_model.end_ids)] = True
        return notable.to(self.language_model.device)

    def ending(self, tokens: Sequence[int], job: Job) -> Ending | None:
        """How a row ends with these completion tokens; None where it goes on."""
        given = len(job.tokens) - job.prompt
        if len(tokens) > given:
            if tokens[-1] in self.language_model.end_ids:
                return Ending("stop")
            cut = self._stopped_at(tokens, given, job.request.sampling.stop)
            if cut is not None:
                return Ending("stop", cut)
        if job.prompt + len(tokens) < job.end:
            return None
        return Ending("length" if job.request.score is None else "stop")

    def reply(self, tokens: Sequence[int], job: Job, ending: Ending) -> Reply:
        raw = self.language_model.decode(tokens)
        shown = tokens
        if ending.characters is not None:
            raw = raw[: ending.characters]
            shown = tokens[: self._covering(tokens, ending.characters)]
        implied = THINK if job.opened else ""
        reasoning, text = split_reasoning(implied + raw)
        closed = reasoning is None or END_THINK in raw
        return Reply(
            Outcome.ANSWERED,
            text,
            reasoning,
            self._covering(shown, len(raw) - len(text)) if closed else len(shown),
            tuple(shown),
            usage=Usage(len(job.tokens), job.prompt + len(tokens) - len(job.tokens)),
            finish=ending.finish,
        )

    def _stopped_at(self, tokens: Sequence[int], given: int, stops: Sequence[str]) -> int | None:
        """Where in the text the first stop string begins; those in the first ``given`` tokens do not count."""
        if not stops:
            return None
        text, skip = self.language_model.decode(tokens), len(self.language_model.decode(tokens[:given]))
        return min((place for place in (text.find(stop, skip) for stop in stops) if place >= 0), default=None)

    def _covering(self, tokens: Sequence[int], characters: int) -> int:
        """How many tokens it takes to write the first ``characters`` of their text."""
        counts = range(len(tokens))
        return bisect_left(counts, characters, key=lambda count: len(self.language_model.decode(tokens[:count])))

    @cached_property
    def _pieces(self) -> list[str]:
        return [self.language_model.decode([token]) for token in range(self.language_model.vocabulary)]


def split_reasoning(raw: str) -> tuple[str | None, str]:
    """Reasoning and text of a raw completion. Reasoning that is never closed leaves no text."""
    if not raw.startswith(THINK):
        return None, raw
    reasoning, _, text = raw.removeprefix(THINK).partition(END_THINK)
    return reasoning, text
