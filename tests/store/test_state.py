import pytest
import torch

from spiritsafe.defense import Defense
from spiritsafe.errors import UserError
from spiritsafe.store import state


class Counter(Defense):
    def __init__(self, seen: float) -> None:
        self.seen = torch.tensor(seen)

    def state(self) -> dict[str, torch.Tensor]:
        return {"seen": self.seen}

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        self.seen = state["seen"]


def test_each_defense_gets_back_its_own(tmp_path):
    state.keep(tmp_path, [Counter(1.0), Defense(), Counter(2.0)], 512)
    fresh = [Counter(0.0), Defense(), Counter(0.0)]
    state.restore(tmp_path, fresh, 512)
    assert [fresh[0].seen, fresh[2].seen] == [1.0, 2.0]


def test_the_state_before_a_shard_that_was_never_written_is_still_there(tmp_path):
    for window in range(1, 6):
        state.keep(tmp_path, [Counter(float(window))], 512 * window)
    assert len(list(tmp_path.iterdir())) == 2
    again = Counter(0.0)
    state.restore(tmp_path, [again], 512 * 4)
    assert again.seen == 4.0


def test_without_state_there_is_no_file_and_a_lost_one_is_told(tmp_path):
    state.keep(tmp_path, [Defense()], 512)
    state.restore(tmp_path, [Defense()], 512)
    assert not list(tmp_path.iterdir())
    with pytest.raises(UserError, match="the state of Counter is missing: remove"):
        state.restore(tmp_path, [Counter(0.0)], 512)
