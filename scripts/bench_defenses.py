"""What a defense costs in serving time: undefended against defended, on the same requests in the same run.

Three groups, each with its own bound: what changes only what is shown, and watermarks (1.3); one proxy (1 + 1.3 times
its share of the teacher's weights); two perturbed proxies (1 + 2.3 times it).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from defenses.antidistillation import Antidistillation
from defenses.antidistillation_fingerprint import AntidistillationFingerprint
from defenses.grad2 import Grad2
from defenses.kgw import KGW
from defenses.mad import Mad
from defenses.modelguard_s import ModelguardS
from defenses.modelguard_w import ModelguardW
from defenses.product_of_experts import ProductOfExperts
from defenses.random_noise import RandomNoise
from defenses.reverse_sigmoid import ReverseSigmoid
from defenses.rounding import Rounding
from defenses.synthid import SynthID
from defenses.topk_logprobs import TopkLogprobs
from scripts.bench_rounds import compare
from scripts.bench_serving import Prepared, sampler
from spiritsafe.attack import Example
from spiritsafe.defense import Defense
from spiritsafe.exchange import Request
from spiritsafe.models import LanguageModel


def groups(proxy: LanguageModel) -> dict[str, tuple[float, float, list[Defense]]]:
    """By name: the bound's fixed part, its factor on the proxy's share, and the defenses."""
    return {
        "shown or marked": (1.3, 0.0, [
            TopkLogprobs(k=5), Rounding(), RandomNoise(), ReverseSigmoid(), ModelguardW(),
            ModelguardS(traces=16, capacity=10**6), KGW(key="bench"), SynthID(key="bench"),
        ]),
        "one proxy": (1.0, 1.3, [
            ProductOfExperts(proxy=proxy, strength=0.3), Mad(proxy=proxy),
            AntidistillationFingerprint(proxy=proxy, key="bench", strength=4.0),
        ]),
        "two perturbed proxies": (1.0, 2.3, [
            Antidistillation(proxy=proxy, strength=1.0), Grad2(proxy=proxy),
        ]),
    }  # fmt: skip


def defended(
    teacher: LanguageModel,
    proxy: LanguageModel,
    requests: Sequence[Request],
    batch: int,
    rounds: int,
    examples: Sequence[Example],
) -> dict[str, Any]:
    """All requests ask for five log probabilities a token, of both sides."""
    share = proxy.model.num_parameters() / teacher.model.num_parameters()
    asked = [replace(request, top_logprobs=5) for request in requests]
    found = {}
    for name, (fixed, factor, defenses) in groups(proxy).items():
        sides = {"undefended": partial(sampler, teacher, asked, batch)}
        for defense in defenses:
            defense.prepare(Prepared(teacher, examples))
            sides[type(defense).__name__] = partial(sampler, teacher, asked, batch, defense)
        title = f"serving time, {name}: {len(asked)} requests, batches of {batch}, proxy {share:.2f} of the teacher"
        found[name] = compare(title, sides, rounds, fixed + factor * share, at_most=True)
    return found
