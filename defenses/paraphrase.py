"""Paraphrase: a local model re-words the reasoning of a share of the replies. The output-perturbation family of
DistillGuard, Jiang, arXiv 2603.07835, with α the share.

Default: α = 1. Known breaker: training on it as it is, since a faithful paraphrase teaches what it says. Deviates: the
answer is kept byte for byte (there, all of the reply is re-worded), and a paraphrase that breaks off, is empty or
strays far in length is not shown.
"""

from dataclasses import dataclass
from typing import ClassVar

from defenses.primitives.rewriter import Reworded
from spiritsafe.defense import Needs


@dataclass(kw_only=True)
class Paraphrase(Reworded):
    """``strength`` is α."""

    default: ClassVar[str] = (
        "Say the text below again in other words. Keep its meaning, its order, and every number and name. Write "
        "nothing but the new text."
    )
    needs: ClassVar[Needs] = Needs.REWRITER
