"""How likely a model finds given text: the capability of a model that answers no questions, and the price of a defense
in served text."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from spiritsafe.attack import Example
from spiritsafe.errors import UserError

if TYPE_CHECKING:
    from spiritsafe.models import LanguageModel


def nll(
    language_model: "LanguageModel",
    examples: Sequence[Example],
    max_length: int = 1024,
    end: bool = False,
    batch_size: int = 16,
) -> tuple[float, int]:
    """Mean negative log likelihood of the completions, in nats per token pooled over all of them, and the token count.

    A conversation is rendered by the model's own template and cut after ``max_length`` tokens, the prompt's included;
    prompt and prefill are read and not scored, nor is the first token of all. ``end`` scores the token that closes the
    turn as well. A plain text is an example whose one message is empty. The batch size moves nothing but rounding.
    Raises UserError where no token is left to score, or a text is longer than what the model reads.
    """
    import torch
    from torch.nn.functional import cross_entropy
    from torch.nn.utils.rnn import pad_sequence

    rows: list[tuple[list[int], int]] = []
    for example in examples:
        prompt = language_model.prompt_ids(example.messages, example.prefill)
        completion = language_model.completion_ids(example.completion)
        if not end:
            completion = completion[: len(completion) - len(language_model.end_ids[:1])]
        rows.append(((prompt + completion)[:max_length], len(prompt)))
    rows = sorted((row for row in rows if len(row[0]) > max(row[1], 1)), key=lambda row: len(row[0]))
    context = getattr(language_model.model.config, "max_position_embeddings", None) or max_length
    if rows and len(rows[-1][0]) > context:
        raise UserError(
            f"a text of {len(rows[-1][0])} tokens is longer than the {context} that {language_model.name} reads: "
            f"set max_length={context} or less"
        )
    if not rows:
        raise UserError(
            f"no completion token to score within {max_length} tokens: raise max_length or shorten the prompts"
        )
    total, count = 0.0, 0
    for start in range(0, len(rows), batch_size):
        batch = rows[start : start + batch_size]
        ids = pad_sequence([torch.tensor(row) for row, _ in batch], batch_first=True).to(language_model.device)
        labels = pad_sequence([torch.tensor(row) for row, _ in batch], batch_first=True, padding_value=-100)
        for label, (_, prompted) in zip(labels, batch, strict=True):
            label[:prompted] = -100
        targets = labels[:, 1:].to(language_model.device)
        with torch.inference_mode():
            logits = language_model.model(input_ids=ids, use_cache=False).logits[:, :-1]
            kept = targets != -100
            total += float(cross_entropy(logits[kept].float(), targets[kept], reduction="sum"))
        count += int(kept.sum())
    return total / count, count
