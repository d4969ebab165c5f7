"""Antidistillation fingerprint: a green-list mark pushed where a student will learn it.
Xu et al., ICML 2026, arXiv 2602.03812.

    z' = z_T + λ c,    c_v = q_v (1[v ∈ S] − L),    q = softmax(z_P),    L = Σ_{u ∈ S} q_u

c is the gradient of a proxy student's green mass L with respect to its logits; S is keyed by the last 2 tokens.
Published defaults: γ = 0.5, λ over 4 … 1024, steps whose top token ends the turn left alone. The audit of an open
model is the suspect's green mass ĝ over n contexts, one a bigram: p ≤ exp(−2n (ĝ − γ)²) where ĝ > γ (Hoeffding:
conservative, not comparable with other tests' p). Breaker: paraphrase of the training text, or another vocabulary.
Deviates: each token is green with probability γ on its own (primitives/keyed.py); λ is found by bisection to a loss of
served accuracy; of a suspect that numbers tokens otherwise, the tokens it wrote are tested in place of its
probabilities (the closed model).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from defenses.primitives.calibrated import Calibrated
from defenses.primitives.directional import check_vocabularies
from defenses.primitives.keyed import CHUNK, Key, bits, full, green, marked, ngrams, secrets, verdict
from defenses.primitives.operators import tilt
from spiritsafe.attack import Example
from spiritsafe.defense import Cost, Needs, Preparation, Rows, Verdict
from spiritsafe.errors import UserError
from spiritsafe.models import LanguageModel

WINDOW = 2


@dataclass(kw_only=True)
class AntidistillationFingerprint(Calibrated):
    """``strength`` is λ, ``share`` γ; the audit reads ``batch`` completions at a time."""

    proxy: LanguageModel
    key: Key = None
    share: float = 0.5
    batch: int = 8
    ends: Tensor | None = field(default=None, init=False, repr=False)
    interval: ClassVar[tuple[float, float]] = (1.0, 4096.0)
    needs: ClassVar[Needs] = Needs.TEACHER_LOGITS | Needs.PROXY | Needs.KEY

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.share < 1 or self.batch < 1:
            raise UserError(
                f"antidistillation_fingerprint needs 0 < share < 1 and batch >= 1, got share={self.share}, "
                f"batch={self.batch}"
            )
        self._secret = secrets("antidistillation_fingerprint", self.key)

    def check(self, teacher: LanguageModel) -> None:
        check_vocabularies(teacher, self.proxy)

    def prepare(self, preparation: Preparation) -> None:
        self.check(preparation.teacher)
        self.proxy.model.to(preparation.teacher.device)
        self.ends = torch.tensor(preparation.teacher.end_ids, dtype=torch.long, device=preparation.teacher.device)
        self.calibrate(preparation)

    def sample_logits(self, logits: Tensor, rows: Rows) -> Tensor:
        if not self.active:
            return logits
        assert self.ends is not None, "prepare() learns which tokens end a turn"
        windows = rows.context(WINDOW)
        listed = green(self._secret, windows, logits.shape[-1], self.share)
        score = learnable(rows.follow(self.proxy.model), listed)
        ending = torch.isin(logits.argmax(-1), self.ends)
        return torch.where((full(windows) & ~ending)[:, None], tilt(logits, score, self.set_strength), logits)

    def audit(self, suspect: LanguageModel, completions: Sequence[Example], keys: int) -> Verdict:
        """The end of a completion is no context: nothing was written after it."""
        found, owners, places = ngrams(completions, WINDOW + 1)
        windows, which = found[:, :-1].unique(dim=0, return_inverse=True)
        first = torch.full((len(windows),), len(found)).scatter_reduce(0, which, torch.arange(len(found)), "amin")
        first = first.sort().values
        found, owners, places = found[first], owners[first], places[first]
        owner = secrets("antidistillation_fingerprint", self.key, keys)
        if _numbers_alike(suspect, self.proxy):
            parts = [
                green_mass(owner, found[seen, :-1], probabilities, self.share)
                for seen, probabilities in _read(suspect, completions, owners, places, self.batch)
            ]
            masses = torch.stack([torch.zeros(len(owner), dtype=torch.float64), *parts]).sum(0)
        else:
            masses = torch.stack(
                [marked(bits(each, found[:, :-1], found[:, -1]), self.share).sum() for each in owner]
            ).double()
        mean = masses / max(1, len(found))
        p_values = (-2 * len(found) * (mean - self.share).clamp(min=0) ** 2).exp()
        return verdict(p_values, float(mean[0]), len(found))

    def cost(self) -> Cost:
        return Cost(forwards=1.0 * self.active)


def learnable(logits: Tensor, green: Tensor) -> Tensor:
    """The gradient of the green mass of softmax(``logits``) with respect to them: [rows, vocabulary]."""
    probabilities = logits.float().softmax(-1)
    return probabilities * (green.float() - (probabilities * green).sum(-1, keepdim=True))


def green_mass(secrets: Tensor, windows: Tensor, probabilities: Tensor, share: float) -> Tensor:
    """[secrets], float64 on the CPU: the mass of each key's green lists, summed over the contexts of ``probabilities``
    [n, vocabulary]."""
    vocabulary = torch.arange(probabilities.shape[-1], device=probabilities.device)
    total = torch.zeros(len(secrets), dtype=torch.float64)
    size = max(1, CHUNK // len(vocabulary))
    for some, law in zip(windows.to(probabilities.device).split(size), probabilities.split(size), strict=True):
        lists = [
            marked(bits(group[:, None, None], some[:, None], vocabulary), share)
            for group in secrets.split(max(1, CHUNK // law.numel()))
        ]
        total += torch.cat([(each * law).sum(-1).double().sum(-1) for each in lists]).cpu()
    return total


@torch.inference_mode()
def _read(
    suspect: LanguageModel, completions: Sequence[Example], owners: Tensor, places: Tensor, batch: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Which observations a batch has, and the suspect's next-token probabilities there: [n] bool, [n, vocabulary]."""
    for start in range(0, len(completions), batch):
        seen = (owners >= start) & (owners < start + batch)
        if not bool(seen.any()):
            continue
        prompts = [suspect.prompt_ids(each.messages, each.prefill) for each in completions[start : start + batch]]
        texts = [
            prompt + list(each.token_ids)
            for prompt, each in zip(prompts, completions[start : start + batch], strict=True)
        ]
        longest = max(map(len, texts))
        ids = torch.tensor([text + [0] * (longest - len(text)) for text in texts], device=suspect.device)
        mask = torch.tensor([[1] * len(text) + [0] * (longest - len(text)) for text in texts], device=suspect.device)
        logits = suspect.model(input_ids=ids, attention_mask=mask, use_cache=False).logits
        rows = owners[seen] - start
        before = torch.tensor([len(prompt) for prompt in prompts])[rows] + places[seen] - 1
        yield seen, logits[rows.to(ids.device), before.to(ids.device)].float().softmax(-1)


def _numbers_alike(suspect: LanguageModel, proxy: LanguageModel) -> bool:
    try:
        check_vocabularies(suspect, proxy)
    except UserError:
        return False
    return True
