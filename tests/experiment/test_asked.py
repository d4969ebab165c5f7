import pytest

from spiritsafe.errors import UserError
from spiritsafe.exchange import Exchange, Outcome, Reply, Request
from spiritsafe.experiment.lessons import asked
from spiritsafe.task import Split
from spiritsafe.tasks.programs import Programs


def exchange(item: str) -> Exchange:
    return Exchange(Request("r", ()), Reply(Outcome.ANSWERED), "a", 0.0, task="programs", item=item)


def test_prompts_are_found_wherever_in_the_pool_a_source_took_them():
    pool = Programs().items(Split.POOL, 200, 3)
    chosen = [pool[place] for place in (150, 3, 199, 3)]
    prompts = asked([exchange(item.id) for item in chosen], [Programs()], 3)
    assert [prompt.item for prompt in prompts] == [pool[150], pool[3], pool[199]]


def test_a_prompt_of_no_pool_is_told():
    with pytest.raises(UserError, match="1 prompts of task programs are not in its pool"):
        asked([exchange("made up")], [Programs()], 3)
