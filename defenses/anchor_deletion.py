"""Anchor deletion: take the few steps out of a trace that its answer hangs on, where nobody will miss them. After
TraceGuard, Hartman et al., arXiv 2604.23238: a Stackelberg game in which the attacker's detector must not reject.

    anchor(s) = log p(answer | x, trace) − log p(answer | x, trace \\ s),    under a scoring model
    the largest set of the top round(ρ n) anchors with  (NLL − μ) / σ < κ  and  1 − δ <= |kept| / |trace| <= 1

NLL is the mean over the trace's tokens under the same model; μ and σ are its mean and spread on undefended traces.
Defaults: ρ, κ and δ are ours, none is published. Breakers: trace inversion and deriving the steps afresh. Deviates: no
code is public, and the paper finds anchors at branching tokens of high entropy; this scores removal itself, and deletes
where the paper also poisons. What a deleted step had said later steps still use.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from defenses.primitives.rewriter import context
from defenses.primitives.sentences import assemble, reasons, steps, with_reasoning
from spiritsafe.defense import Cost, Defense, Needs, Preparation
from spiritsafe.errors import UserError
from spiritsafe.exchange import END_THINK, THINK, Message, Reply, Request
from spiritsafe.models import LanguageModel
from spiritsafe.randomness import stream_key

Pair = tuple[list[int], list[int]]  # what is read, and what of it is then scored


@dataclass
class _Cut:
    """One reply's steps in the order in which they would go, and how many of them may."""

    place: int
    messages: tuple[Message, ...]
    trace: str
    parts: list[str]
    order: list[int]
    most: int

    def without(self, count: int) -> str:
        gone = set(self.order[:count])
        return assemble([part for index, part in enumerate(self.parts) if index not in gone], self.trace)


@dataclass(kw_only=True)
class AnchorDeletion(Defense):
    """``share`` is ρ, of a trace's steps; 0 touches nothing. ``kappa`` and ``delta`` bound what a detector would see.

    ``targeted=false`` is the control: as many steps, but random ones (fewer where the bounds ask for it). ``traces`` of
    the teacher set μ and σ. What does not fit the ``proxy`` is cut from the left before it is scored.
    """

    proxy: LanguageModel
    share: float = 0.34
    kappa: float = 2.0
    delta: float = 0.5
    targeted: bool = True
    traces: int = 256
    key: int = 0
    usual: tuple[float, float] | None = field(default=None, init=False)
    read: int = field(default=0, init=False)
    served: int = field(default=0, init=False)
    needs: ClassVar[Needs] = Needs.PROXY

    def __post_init__(self) -> None:
        if not (0 <= self.share <= 1 and 0 <= self.delta <= 1 and self.traces >= 2):
            raise UserError(
                "anchor_deletion needs share and delta from 0 to 1 and traces >= 2, got "
                f"share={self.share}, delta={self.delta}, traces={self.traces}"
            )

    def prepare(self, preparation: Preparation) -> None:
        if not self.share:
            return
        self.proxy.model.to(preparation.teacher.device)
        thought = [example for example in preparation.traces(self.traces) if example.completion.startswith(THINK)]
        levels = self._means(
            [self._trace(each.messages, each.completion[len(THINK) :].partition(END_THINK)[0]) for each in thought]
        )
        if len(levels) < 2 or not float(levels.std()) > 0:
            raise UserError(
                f"anchor_deletion cannot tell what is usual from {len(levels)} traces of the teacher: raise traces, "
                "check that the teacher reasons on its calibration prompts, or use another defense"
            )
        self.usual, self.read = (float(levels.mean()), float(levels.std())), 0

    def rewrite_replies(self, requests: Sequence[Request], replies: Sequence[Reply]) -> list[Reply]:
        shown = list(replies)
        cuts = [cut for cut in map(self._cut, range(len(replies)), requests, replies) if cut is not None]
        self.served += sum(reply.usage.completion_tokens for reply in replies) if self.share else 0
        if not cuts:
            return shown
        self._rank(cuts, [replies[cut.place].text for cut in cuts])
        counts = self._allowed(cuts)
        if not self.targeted:
            for cut, count in zip(cuts, counts, strict=True):
                cut.most = count
                Random(stream_key(self.key, requests[cut.place].id, 0)).shuffle(cut.order)
            counts = self._allowed(cuts)
        for cut, count in zip(cuts, counts, strict=True):
            if count:
                shown[cut.place] = with_reasoning(replies[cut.place], cut.without(count))
        return shown

    def _cut(self, place: int, request: Request, reply: Reply) -> _Cut | None:
        if not self.share or not reasons(request, reply) or not reply.text:
            return None
        trace = reply.reasoning or ""
        parts = steps(trace)
        most = min(int(self.share * len(parts) + 0.5), len(parts) - 1)  # a trace that is gone would be noticed
        return _Cut(place, request.messages, trace, parts, list(range(len(parts))), most) if most else None

    def _rank(self, cuts: Sequence[_Cut], answers: Sequence[str]) -> None:
        """Put the step first whose absence makes the answer least likely."""
        pairs = []
        for cut, answer in zip(cuts, answers, strict=True):
            target = self.proxy.completion_ids(answer)
            for step in cut.order:
                rest = assemble([part for index, part in enumerate(cut.parts) if index != step], cut.trace)
                pairs.append((self.proxy.prompt_ids(cut.messages, f"{THINK}{rest}{END_THINK}"), target))
        losses = iter(self._totals(pairs).tolist())
        for cut in cuts:
            of = {step: next(losses) for step in cut.order}
            cut.order.sort(key=lambda step: -of[step])

    def _allowed(self, cuts: Sequence[_Cut]) -> list[int]:
        """How many of its first steps each may lose within the bounds."""
        assert self.usual is not None, "prepare() learns what is usual"
        counts = [0] * len(cuts)
        tried: list[tuple[int, int]] = []
        pairs: list[Pair] = []
        for index, cut in enumerate(cuts):
            whole = len(self._trace(cut.messages, cut.trace)[1])
            for count in range(1, cut.most + 1):
                pair = self._trace(cut.messages, cut.without(count))
                if (1 - self.delta) * whole <= len(pair[1]) <= whole:
                    tried.append((index, count))
                    pairs.append(pair)
        mean, spread = self.usual
        for (index, count), level in zip(tried, self._means(pairs).tolist(), strict=True):
            if (level - mean) / spread < self.kappa:
                counts[index] = max(counts[index], count)
        return counts

    def _trace(self, messages: Sequence[Message], trace: str) -> Pair:
        prompt = self.proxy.prompt_ids(messages, THINK)
        return prompt, self.proxy.prompt_ids(messages, f"{THINK}{trace}")[len(prompt) :]

    def _means(self, pairs: Sequence[Pair]) -> Tensor:
        pairs = [pair for pair in pairs if pair[1]]
        return self._totals(pairs) / torch.tensor([min(len(target), context(self.proxy) - 1) for _, target in pairs])

    @torch.inference_mode()
    def _totals(self, pairs: Sequence[Pair]) -> Tensor:
        """The proxy's total NLL of each target: [pairs], float64 on the CPU."""
        totals = torch.zeros(len(pairs), dtype=torch.float64)
        limit, device = context(self.proxy), self.proxy.device
        ids = [[*start, *target][-limit:] for start, target in pairs]
        room = min(16_384, max(1, 2**28 // self.proxy.vocabulary))  # tokens a pass: at most 1 GiB of logits
        for rows in _passes([len(row) for row in ids], room):
            width = max(len(ids[row]) for row in rows)
            batch = torch.tensor([ids[row] + [0] * (width - len(ids[row])) for row in rows], device=device)
            lengths = torch.tensor([len(ids[row]) for row in rows], device=device)[:, None]
            scored = torch.tensor([len(pairs[row][1]) for row in rows], device=device)[:, None]
            columns = torch.arange(width, device=device)
            mask = columns < lengths
            logits = self.proxy.model(input_ids=batch, attention_mask=mask.long(), use_cache=False).logits[:, :-1]
            wanted = (mask & (columns >= lengths - scored))[:, 1:]
            targets = batch[:, 1:].masked_fill(~wanted, -100)
            losses = cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="none")
            totals[rows] = losses.view_as(targets).double().sum(-1).cpu()
            self.read += int(lengths.sum())
        return totals

    def cost(self) -> Cost:
        """Tokens that the proxy has read, prompts included, for each one served."""
        return Cost(forwards=self.read / self.served if self.served else 0.0)

    def summary(self) -> dict[str, Any]:
        return {"mean_nll": self.usual[0], "sd_nll": self.usual[1]} if self.usual else {}


def _passes(lengths: Sequence[int], room: int) -> Iterator[list[int]]:
    """Rows of like length together, at most ``room`` tokens with their padding, and at least one row."""
    rows: list[int] = []
    for row in sorted(range(len(lengths)), key=lambda row: lengths[row]):
        if rows and lengths[row] * (len(rows) + 1) > room:
            yield rows
            rows = []
        rows.append(row)
    if rows:
        yield rows
