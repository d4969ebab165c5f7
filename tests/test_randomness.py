import torch
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.randomness import stream_key, uniforms

int64 = st.integers(-(2**63), 2**63 - 1)


def splitmix64(state: int) -> int:
    """The published algorithm on Python's integers."""
    mask = 2**64 - 1
    state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 & mask
    state = (state ^ (state >> 27)) * 0x94D049BB133111EB & mask
    return state ^ (state >> 31)


@given(st.lists(st.tuples(int64, st.integers(0, 2**31)), min_size=1, max_size=8))
def test_uniforms_are_splitmix64(pairs: list[tuple[int, int]]) -> None:
    keys, counter = torch.tensor(pairs).T
    expected = [(splitmix64((key + (count + 1) * 0x9E3779B97F4A7C15) % 2**64) >> 11) / 2**53 for key, count in pairs]
    assert uniforms(keys, counter).tolist() == expected
    assert all(0 <= value < 1 for value in expected)


def test_uniforms_look_uniform_and_uncorrelated() -> None:
    keys = torch.tensor([stream_key(0, f"request {i}", 0) for i in range(2000)])
    draws = torch.stack([uniforms(keys, torch.full_like(keys, step)) for step in range(20)])
    assert abs(draws.mean().item() - 0.5) < 0.005
    assert abs(draws.var().item() - 1 / 12) < 0.002
    assert torch.corrcoef(draws).fill_diagonal_(0).abs().max() < 0.1


@given(
    st.integers(0, 9), st.text(max_size=8), st.integers(0, 9), st.integers(0, 9), st.text(max_size=8), st.integers(0, 9)
)
def test_a_key_names_one_stream(seed: int, name: str, sample: int, seed2: int, name2: str, sample2: int) -> None:
    same = (seed, name, sample) == (seed2, name2, sample2)
    assert (stream_key(seed, name, sample) == stream_key(seed2, name2, sample2)) == same
    assert -(2**63) <= stream_key(seed, name, sample) < 2**63
