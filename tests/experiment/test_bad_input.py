"""What a user can get wrong ends with status 2 (Hydra's own: 1) and one message that names the remedy."""

import shutil

import pytest
from command import command, laboratory

from spiritsafe.store import transcript


def stored(store):
    return {
        path.relative_to(store): path.stat().st_mtime_ns for path in store.rglob("*.*") if ".locks" not in path.parts
    }


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["objective=topk_kl"], "interface.top_logprobs=5"),
        (["objective=sampled_reverse_kl"], "interface.scoring=true"),
        (["objective=sampled_reverse_kl", "interface.scoring=true", "warm_start=0.9"], "raise budget.checkpoints"),
        (["teacher.path=nowhere/at/all"], "there is no folder 'nowhere/at/all'"),
        (["student.path=somebody/a-model"], "revision=<commit>"),
        (["attack.source.weights={programs: 0, recipes: 0}"], "one positive weight"),
        (["+attack.source.weights={swimming: 1}"], "add them to task=[...]"),
        (["+attack.source.weights={restricted: 1}"], "set measure.targeted to some of"),
        (["budget.checkpoints=[0]"], "at least one exchange: set budget.checkpoints"),
        (["budget.checkpoints=[16,8]"], "must grow"),
        (["objective=orpo"], "use attack=preference"),
        (["+recipe.speed=9"], "unexpected keyword argument 'speed'"),
        (["+budget.money=9"], "unexpected keyword argument 'money'"),
        (["measure.seeds=none"], "measure.seeds must be a number"),
        (["measure.controls=[orakel]"], "choose measure.controls among"),
        (["measure.detector=no.json"], "python -m scripts.refusals calibrate"),
        (["defense=[exchange_limit]", "defense.exchange_limit.exchanges=0"], "exchanges >= 1"),
        (["compare=[castle]"], ", answer_only, "),
        (["+defense.mine._target_=no_such_package.Mine"], "is it spelled right, and its package installed?"),
        (["student=local", "student.path=???"], "give it as name=value"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_one_message_with_its_remedy_before_anything_runs(finished, overrides, said, capsys):
    before = stored(finished.store)
    assert command(*finished.overrides, *overrides) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert message.count("error: ") == 1
    assert said in message
    assert "Traceback" not in message
    assert stored(finished.store) == before


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("nonsense=1", "nonsense"),
        ("recipe.speed=9", "speed"),
        ("defense=[castle]", "Could not load 'defense/castle'"),
        ("experiment=castle", "demo"),
    ],
)
def test_a_name_that_hydra_does_not_know(finished, override, said, capsys):
    assert command(*finished.overrides, override) == 1
    message = capsys.readouterr().err
    assert said in message
    assert "Traceback" not in message


def test_a_proxy_with_another_vocabulary(finished, tiny_world, capsys):
    proxy = [f"defense.antidistillation.proxy.path={tiny_world.foreign}", "defense.antidistillation.strength=1"]
    assert command(*finished.overrides, "defense=[antidistillation]", *proxy) == 2
    assert "choose a proxy with the teacher's tokenizer and output size" in capsys.readouterr().err


def test_a_damaged_result_is_named_and_not_reused(finished, tmp_path, capsys):
    shutil.copytree(finished.store, tmp_path / "store")
    table = next((tmp_path / "store" / "examine").glob("*/items.parquet"))
    table.write_bytes(table.read_bytes()[:-100])
    store = f"paths.store={tmp_path / 'store'}"
    assert command(*finished.overrides, store) == 2
    message = capsys.readouterr().err
    assert f"rm -r {table.parent}" in message
    shutil.rmtree(table.parent)  # as it says
    assert command(*finished.overrides, store) == 0
    again = finished.store / "examine" / table.parent.name / "items.parquet"
    assert table.read_bytes() == again.read_bytes()


def test_a_defense_that_raises_keeps_the_exchanges_so_far(finished, tmp_path, capsys):
    store = tmp_path / "store"
    shutil.copytree(finished.store, store)
    assert command(*finished.overrides, f"paths.store={store}", "+defense.mine._target_=command.Stumbles") == 2
    message = capsys.readouterr().err
    assert "the campaign stopped after 4 exchanges: ZeroDivisionError: the defense divided by zero" in message
    assert "Stumbles" in message
    [partial] = {shard.parent for shard in (store / "harvest").glob("*.partial/shard-*")}
    assert str(partial) in message
    kept = transcript.read_shards(partial)
    lab = laboratory(*finished.overrides)
    whole = transcript.read(lab.harvested("none").folder / "transcript.parquet")
    assert kept == whole[:4]
