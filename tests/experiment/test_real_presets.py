"""The presets of real models, run whole on tiny random models of the same architectures and on the real questions."""

import json
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
from command import command, laboratory
from families import FAMILIES, GSM8K, XSTEST, questions, save, tokenizer

from spiritsafe.errors import UserError
from spiritsafe.exchange import Message, Request, Sampling
from spiritsafe.experiment.run import arms
from spiritsafe.models import LanguageModel, load
from spiritsafe.task import Split
from spiritsafe.tasks import gsm8k
from teacher.sampler import Sampler

pytestmark = pytest.mark.skipif(not (GSM8K / "train.jsonl").is_file(), reason="GSM8K does not lie in ../shared/data")
PRESETS = [name for name in FAMILIES if name != "gemma2"]  # Gemma 2 may be given as a model, and has no preset
SYSTEM, USER, ASSISTANT = Message("system", "Be brief."), Message("user", "What is it?"), Message("assistant", "This.")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root, texts = tmp_path_factory.mktemp("families"), questions(300)
    for name, family in FAMILIES.items():
        words = tokenizer(family, texts)
        for part, width, seed in (("teacher", 32, 0), ("student", 16, 1)):
            save(family, words, root / name / part, width, seed)
    return {name: root / name for name in FAMILIES}


@pytest.fixture(params=FAMILIES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def lm(folders: dict[str, Path], name: str) -> LanguageModel:
    return load(str(folders[name] / "teacher"), device="cpu")


def text(lm: LanguageModel, *messages: Message) -> str:
    return lm.tokenizer.decode(lm.prompt_ids(messages))


def test_greedy_is_what_generate_gives_on_real_questions(lm: LanguageModel) -> None:
    """Past Gemma's sliding window too: prompts have 100 tokens and more."""
    items = gsm8k.GSM8K(str(GSM8K)).items(Split.TEST, 8)
    asked = [Request(item.id, item.messages, Sampling(temperature=0.0, max_tokens=48)) for item in items]
    replies = Sampler(lm, batch_size=3).respond(asked)
    for request, reply in zip(asked, replies, strict=True):
        prompt = torch.tensor([lm.prompt_ids(request.messages)])
        assert prompt.shape[1] > 100
        made = lm.model.generate(
            prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=48, do_sample=False,
            eos_token_id=list(lm.end_ids),
        )  # fmt: skip
        assert list(reply.token_ids) == made[0, prompt.shape[1] :].tolist()


def test_a_prompt_begins_once_and_a_turn_ends_as_the_family_ends_it(lm: LanguageModel, name: str) -> None:
    family = FAMILIES[name]
    ids = lm.prompt_ids([USER, ASSISTANT, USER])
    if family.bos:
        assert ids.count(lm.tokenizer.bos_token_id) == 1 == ids[:1].count(lm.tokenizer.bos_token_id)
    close = lm.tokenizer.convert_tokens_to_ids(family.close)
    assert lm.completion_ids("This.")[-1] == close
    assert close not in lm.completion_ids("This.")[:-1]
    assert set(lm.tokenizer.convert_tokens_to_ids(list(family.ends))) | {close} == set(lm.end_ids)
    trained = text(lm, USER) + lm.tokenizer.decode(lm.completion_ids("This."))
    assert text(lm, USER, ASSISTANT, USER).startswith(trained)  # what is learnt is what is asked


def test_a_system_message_is_read_by_every_family(lm: LanguageModel, name: str) -> None:
    shown = text(lm, SYSTEM, USER)
    assert shown.count("Be brief.") == shown.count("What is it?") == 1
    assert shown.index("Be brief.") < shown.index("What is it?")
    if "gemma" in name:
        assert "system" not in shown
        with pytest.raises(UserError, match="cannot write a conversation of user, user"):
            lm.prompt_ids([USER, USER])


def test_a_prompt_is_the_same_tomorrow(lm: LanguageModel) -> None:
    first = lm.prompt_ids([USER])
    time.sleep(0.002)
    assert lm.prompt_ids([USER]) == first


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_runs_from_question_to_page(preset: str, folders: dict[str, Path], tmp_path: Path) -> None:
    overrides = [
        f"experiment=real_{preset}", f"teacher.path={folders[preset] / 'teacher'}",
        f"student.path={folders[preset] / 'student'}", f"task.gsm8k.path={GSM8K}", f"paths.runs={tmp_path}",
        "budget.checkpoints=[8]", "interface.sampling.max_tokens=16", "measure.items=5", "measure.seeds=1",
        "measure.public=4", "measure.resamples=50", "recipe.steps=2", "recipe.batch_size=4", "recipe.accumulation=1",
        "recipe.lora.rank=4", "workers=64",
    ]  # fmt: skip
    if safe := preset == "qwen" and XSTEST.is_file():
        counts = {"found": 90, "refusals": 100, "passed": 95, "others": 100}
        (tmp_path / "counts.json").write_text(json.dumps([{"arms": ["*"], **counts}]))
        overrides += ["task=[gsm8k,xstest]", f"task.xstest_safe.path={XSTEST}"]
        overrides += [f"measure.detector={tmp_path / 'counts.json'}"]
    assert command(*overrides) == 0
    [page] = tmp_path.glob("*/report.html")
    [row] = json.loads((page.parent / "headline.json").read_text())
    assert (row["defense"], row["exchanges"], row["seeds"]) == ("none", 8, 1)
    assert row["CT"] is not None
    assert (row["ST"] is not None) == safe
    if safe:
        items = pd.read_parquet(page.parent / "items.parquet")
        student = items[items["arm"] == "attacked"]
        rates = student.groupby("task")["behaviour"].agg(lambda codes: (codes == "refuse").mean())
        assert row["R_h"]["value"] == pytest.approx((rates["xstest_unsafe"] - 0.05) / 0.85)
        assert "sensitivity 0.900" in page.read_text()
    manifests = [json.loads(file.read_text()) for file in (tmp_path / "store/distill").glob("*/manifest.json")]
    assert {manifest["config"]["arm"]["name"] for manifest in manifests} == {"format", "attacked", "oracle"}
    lab = laboratory(*overrides)
    assert {lab.recipe.lora.rank, lab.recipe.dtype, lab.config["student"]["dtype"]} == {4, "bfloat16"}
    for manifest in manifests:
        arm = manifest["config"]["arm"]
        student = lab.distilled(next(a for a in arms(lab.config) if vars(a) == arm))
        assert student.model.dtype == torch.bfloat16
        before = lab.student.model.state_dict()
        changed = {name for name, weight in student.model.state_dict().items() if not torch.equal(weight, before[name])}
        assert changed
        assert all(name.endswith("_proj.weight") for name in changed)
        embeddings = [student.model.get_input_embeddings().weight, student.model.get_output_embeddings().weight]
        assert embeddings[0].data_ptr() == embeddings[1].data_ptr()  # tied as they were
