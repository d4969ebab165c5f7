"""Counter-based random streams: a draw depends on its key and its position, never on who shares the batch."""

import hashlib

import torch
from torch import Tensor

# The increment and the two multipliers of splitmix64 (Steele, Lea and Flood 2014), as signed 64-bit integers.
INCREMENT, FIRST, SECOND = (value - 2**64 for value in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def stream_key(seed: int, name: str, sample: int) -> int:
    """The key of one stream, a signed 64-bit integer."""
    digest = hashlib.blake2b(f"{seed}\0{sample}\0{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def uniforms(keys: Tensor, counter: Tensor) -> Tensor:
    """One draw in [0, 1) a row (float64) from ``keys`` and ``counter``, both [rows] int64; the same on every device."""
    return _shift(mix(keys + (counter + 1) * INCREMENT), 11).to(torch.float64) * 2.0**-53


def mix(state: Tensor) -> Tensor:
    """The finaliser of splitmix64 on int64 of any shape, whose products wrap around."""
    state = (state ^ _shift(state, 30)) * FIRST
    state = (state ^ _shift(state, 27)) * SECOND
    return state ^ _shift(state, 31)


def _shift(state: Tensor, bits: int) -> Tensor:
    """Logical shift right; torch shifts in the sign bit."""
    return (state >> bits) & (2 ** (64 - bits) - 1)
