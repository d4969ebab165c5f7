import json
import random
from dataclasses import dataclass
from enum import Enum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from spiritsafe.errors import UserError
from spiritsafe.exchange import Sampling
from spiritsafe.store.keys import NOT_SEMANTIC, canonical, content_key
from spiritsafe.task import Kind


class Size(Enum):
    SMALL = 1


@dataclass
class Point:
    x: float
    device: str = "cpu"


@dataclass
class Place:
    x: float
    device: str = "cpu"


leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
names = st.text().filter(lambda name: name not in NOT_SEMANTIC)
values = st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(names, inner), max_leaves=10)
configs = st.dictionaries(names, values, max_size=4)


def key(config: dict[str, Any]) -> str:
    return content_key("harvest", config, ["a", "b"], "code")


def shuffled(value: Any) -> Any:
    if isinstance(value, dict):
        items = [(name, shuffled(item)) for name, item in value.items()]
        random.Random(0).shuffle(items)
        return dict(items)
    return tuple(map(shuffled, value)) if isinstance(value, list) else value


@given(configs)
def test_order_and_tuples_do_not_matter(config: dict[str, Any]) -> None:
    assert key(shuffled(config)) == key(config)


@given(configs, configs)
def test_different_configs_have_different_keys(one: dict[str, Any], other: dict[str, Any]) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (key(one) == key(other)) == same


@given(configs, st.sampled_from(sorted(NOT_SEMANTIC)), values)
def test_what_is_not_semantic_does_not_matter(config: dict[str, Any], name: str, value: Any) -> None:
    assert key({**config, name: value}) == key(config)
    assert key({"deep": [{**config, name: value}]}) == key({"deep": [config]})


def test_what_is_not_semantic_may_be_anything() -> None:
    assert key({"tracker": object()}) == key({})


def test_every_part_counts() -> None:
    parts = [("harvest", {"a": 1}, ["x", "y"], "c"), ("examine", {"a": 1}, ["x", "y"], "c")]
    parts += [("harvest", {"a": 2}, ["x", "y"], "c"), ("harvest", {"a": 1}, ["y", "x"], "c")]
    parts += [("harvest", {"a": 1}, ["xy"], "c"), ("harvest", {"a": 1}, ["x", "y"], "d")]
    assert len({content_key(*part) for part in parts}) == len(parts)


def test_the_key_is_the_same_in_every_process() -> None:
    config = {"lr": 0.1, "sampling": Sampling(), "kind": Kind.HARMFUL, "size": Size.SMALL}
    assert content_key("distill", config, ["a"], "c") == "4cd95e4287dfd2cc0d72fd13"


def test_floats_by_their_shortest_form() -> None:
    assert key({"a": 0.1}) == key({"a": 1e-1})
    assert key({"a": 0.1}) != key({"a": 0.1 + 1e-16 * 2})


def test_dataclasses_and_enums() -> None:
    assert canonical(Size.SMALL, "config") == 1
    assert key({"kind": Kind.HARMFUL}) == key({"kind": "harmful"})
    assert key({"p": Point(1.0)}) == key({"p": Point(1.0, device="cuda")})
    assert key({"p": Point(1.0)}) != key({"p": Point(2.0)})
    assert key({"p": Point(1.0)}) != key({"p": Place(1.0)})


def test_omegaconf_is_a_mapping_like_any() -> None:
    config = {"lr": 0.1, "tasks": ["programs", {"weight": None}]}
    assert key(OmegaConf.create(config)) == key(config)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"a": {"b": [0, {1, 2}]}}, r"config\.a\.b\[1\] is a set"),
        ({"a": b"x"}, r"config\.a is a bytes"),
        ({"a": Point}, r"config\.a is a type"),
        ({"a": {64: 1}}, r"config\.a has the key 64"),
        ({"p": Point(x=1j)}, r"config\.p\.x is a complex"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_said_is_named(config: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        key(config)
