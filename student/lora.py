"""Low-rank adapters on all linear layers, for students too large to train whole. Hu et al. 2021, arXiv 2106.09685."""

from dataclasses import dataclass
from typing import Any

from torch import nn

from spiritsafe.errors import UserError


@dataclass(frozen=True)
class LoRA:
    """The defaults are those of the antidistillation literature (arXiv 2504.13146)."""

    rank: int = 128
    alpha: float = 128.0
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.rank < 1 or not 0 <= self.dropout < 1:
            raise UserError("recipe.lora.rank must be positive and recipe.lora.dropout in [0, 1)")


def adapt(model: nn.Module, lora: LoRA) -> Any:
    """A ``peft.PeftModel`` around ``model``, which is frozen but for its new adapters. The output head has none."""
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise UserError("recipe.lora needs peft: pip install spiritsafe[lora], or set recipe.lora=null") from error
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, config)
