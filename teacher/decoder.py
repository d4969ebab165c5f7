"""Next-token logits of one causal model for rows that come and go.

Every row owns a slot of a preallocated key-value block, and column c of a slot holds position c of its row. A new row
is appended, a leaving one is overwritten by the last, and nothing else is ever copied. Padding lies only to the right
of a row, where the causal mask hides it exactly.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Cache

from spiritsafe.errors import UserError

CPU_TOKENS, GPU_TOKENS = 2048, 16384  # in one prefill pass, padding included; a CPU wants them to fit its cache
STRIP = 32  # columns that are cleared ahead


class SlotCache(Cache):
    """Keys and values: one pair of blocks [copies, slots, heads, columns, dim] a layer."""

    def __init__(self, copies: int) -> None:
        super().__init__(layers=[])
        self.copies = copies
        self.blocks: list[list[Tensor]] = []
        self.slots = self.columns = self.clean = 0
        self.positions: Tensor | None = None

    def reserve(self, slots: int, columns: int) -> None:
        """Make room and keep what is stored."""
        if slots > self.slots or columns > self.columns:
            self.slots = max(slots, self.slots)
            self.columns = self.columns if columns <= self.columns else max(columns, self.columns * 2)
            self._resize()

    def shrink(self, slots: int) -> None:
        """Give back the slots after the first ``slots``."""
        self.slots = slots
        self._resize()

    def clear(self, width: int) -> None:
        """A column that the mask hides must hold a finite number; columns are cleared as they come into use."""
        if width > self.clean:
            for pair in self.blocks:
                for block in pair:
                    block[:, :, :, self.clean : width + STRIP] = 0
            self.clean = min(width + STRIP, self.columns)

    def prefill(self, start: int) -> None:
        """The next pass reads whole prompts, which belong to the slots from ``start`` on."""
        self.start, self.positions = start, None

    def decode(self, positions: Tensor, width: int) -> None:
        """The next pass reads one token of every row at ``positions`` [rows] and looks back over ``width`` columns."""
        self.positions, self.width = positions, width
        self.rows = torch.arange(len(positions), device=positions.device)

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        if layer_idx == len(self.blocks):
            self.blocks.append([self._resized(self._apart(states)[:, :0]) for states in (key_states, value_states)])
        keys, values = self.blocks[layer_idx]
        return self._store(keys, key_states), self._store(values, value_states)

    def move(self, source: Tensor, target: Tensor) -> None:
        for pair in self.blocks:
            for block in pair:
                block[:, target] = block[:, source]

    def _store(self, block: Tensor, states: Tensor) -> Tensor:
        """Write what was read and return what may be looked at."""
        apart = self._apart(states)
        if self.positions is None:
            block[:, self.start : self.start + apart.shape[1], :, : apart.shape[3]] = apart
            return states
        block[:, self.rows, :, self.positions] = apart[:, :, :, 0].transpose(0, 1)
        return block[:, : len(self.rows), :, : self.width].flatten(0, 1)

    def _apart(self, states: Tensor) -> Tensor:
        """[copies * rows, heads, length, dim] -> [copies, rows, heads, length, dim]."""
        return states.unflatten(0, (self.copies, -1))

    def _resize(self) -> None:
        self.blocks = [[self._resized(block) for block in pair] for pair in self.blocks]

    def _resized(self, block: Tensor) -> Tensor:
        resized = block.new_empty(self.copies, self.slots, block.shape[2], self.columns, block.shape[4])
        resized[:, :, :, : self.clean] = 0
        kept = block[:, : self.slots, :, : self.clean]
        resized[:, : kept.shape[1], :, : kept.shape[3]] = kept
        return resized


class Decoder:
    """One model that reads the live rows; with ``copies`` it sees their batch repeated, copy after copy.

    ``slots`` rows of ``columns`` tokens fit without growing. Raises UserError where a row outgrows the model.
    """

    def __init__(self, model: nn.Module, copies: int = 1, slots: int = 1, columns: int = 64) -> None:
        self.model, self.copies = model, copies
        self.cache = SlotCache(copies)
        self.cache.reserve(slots, columns)
        self.lengths = torch.zeros(0, dtype=torch.long)  # tokens read of each row; on the CPU, which needs the widths
        self.context, self.window = context(model), window(model)
        parameter = next(model.parameters())
        self.device, self.dtype = parameter.device, parameter.dtype
        keeps = "logits_to_keep" in inspect.signature(model.forward).parameters
        self.options: dict[str, Any] = {"logits_to_keep": 1} if keeps else {}

    def admit(self, prompts: Sequence[Sequence[int]]) -> None:
        """Append rows that have read ``prompts``, which may be empty. Neighbours are read together: sort by length."""
        lengths = [len(prompt) for prompt in prompts]
        start = len(self.lengths)
        self.lengths = torch.cat([self.lengths, torch.tensor(lengths)])
        self._make_room()
        for first, last in spans(lengths, CPU_TOKENS if self.device.type == "cpu" else GPU_TOKENS):
            self._prefill(prompts[first:last], start + first)

    def step(self, tokens: Tensor) -> Tensor:
        """Read one token a row, [rows]; return the next one's logits, [rows, vocabulary] (or [copies, rows, ...])."""
        rows = len(tokens)
        idle = (
            self.cache.slots - rows if self.copies > 1 else 0
        )  # copies lie side by side only where all slots are read
        tokens, positions = (nn.functional.pad(row, (0, idle)) for row in (tokens, self.lengths.to(self.device)))
        self.lengths = self.lengths + 1
        width = self._make_room()
        hidden = torch.arange(width, device=self.device) > positions[:, None]
        self.cache.decode(positions, width)
        logits = self._forward(tokens[:, None], positions[:, None], hidden[:, None, None])[:, -1]
        return logits if self.copies == 1 else logits.unflatten(0, (self.copies, -1))[:, :rows]

    def keep(self, index: Tensor) -> None:
        """Row i becomes what row ``index[i]`` was; rows that are not named leave. ``index`` is on the CPU."""
        self.cache.move(*(rows.to(self.device) for rows in moves(index)))
        self.lengths = self.lengths[index]
        if self.copies > 1 and 0 < len(index) < 0.75 * self.cache.slots:
            self.cache.shrink(len(index))

    def _prefill(self, prompts: Sequence[Sequence[int]], start: int) -> None:
        length = max(map(len, prompts))
        if not length:
            return
        tokens = torch.tensor([[*prompt, *[0] * (length - len(prompt))] for prompt in prompts], device=self.device)
        columns = torch.arange(length, device=self.device)
        self.cache.prefill(start)
        self._forward(tokens, columns.expand_as(tokens), (columns > columns[:, None])[None, None])

    def _forward(self, tokens: Tensor, positions: Tensor, hidden: Tensor) -> Tensor:
        mask: Tensor | dict[str, Tensor] = self._mask(hidden)
        if self.window:
            columns = torch.arange(hidden.shape[-1], device=self.device)
            beyond = columns <= positions[: len(hidden), None, :, None] - self.window
            mask = {"full_attention": self._mask(hidden), "sliding_attention": self._mask(hidden | beyond)}
        output = self.model(
            input_ids=tokens.repeat(self.copies, 1),
            position_ids=positions.repeat(self.copies, 1),
            attention_mask=mask,
            past_key_values=self.cache,
            use_cache=True,
            **self.options,
        )
        logits: Tensor = output.logits
        return logits

    def _mask(self, hidden: Tensor) -> Tensor:
        mask = torch.zeros(hidden.shape, dtype=self.dtype, device=self.device).masked_fill_(hidden, -torch.inf)
        return mask.repeat(self.copies, 1, 1, 1) if len(mask) > 1 else mask

    def _make_room(self) -> int:
        """The columns in use, a multiple of 8: aligned masks keep the fused attention kernels."""
        longest = int(self.lengths.max())
        if longest > self.context:
            raise UserError(
                f"a conversation of {longest} tokens is longer than the {self.context} that a "
                f"{type(self.model).__name__} reads: lower sampling.max_tokens or use a model with a longer context"
            )
        width = -(-longest // 8) * 8
        self.cache.reserve(len(self.lengths), width)
        self.cache.clear(width)
        return width


def moves(index: Tensor) -> tuple[Tensor, Tensor]:
    """Where the rows that change places come from and go to, when row i becomes row ``index[i]``."""
    target = (index != torch.arange(len(index), device=index.device)).nonzero()[:, 0]
    return index[target], target


def context(model: nn.Module) -> int:
    """Tokens the model can read. A sliding window of all its layers is a limit too: past it its attention would differ
    from ours."""
    config = _config(model)
    names = ("max_position_embeddings",) if window(model) else ("max_position_embeddings", "sliding_window")
    return min((limit for name in names if (limit := getattr(config, name, None))), default=sys.maxsize)


def window(model: nn.Module) -> int:
    """How far back the sliding layers of a model look that has such layers among others (Gemma); else 0."""
    config = _config(model)
    return config.sliding_window if "sliding_attention" in (getattr(config, "layer_types", None) or ()) else 0


def _config(model: nn.Module) -> Any:
    config: Any = getattr(model, "config", None)
    return config.get_text_config() if hasattr(config, "get_text_config") else config


def spans(lengths: Sequence[int], limit: int) -> Iterator[tuple[int, int]]:
    """Neighbours that are read in one pass: at most ``limit`` tokens, padding included, and at least one row."""
    first = longest = 0
    for last, length in enumerate(lengths):
        longest = max(longest, length)
        if last > first and longest * (last + 1 - first) > limit:
            yield first, last
            first, longest = last, length
    yield first, len(lengths)
