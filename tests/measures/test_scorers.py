"""The three readers of refusals, and the command that makes and measures them. All replies are invented."""

import json
from functools import partial
from pathlib import Path
from random import Random

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from scripts import refusals
from spiritsafe import models
from spiritsafe.errors import UserError
from spiritsafe.exchange import Message
from spiritsafe.measures.classifier import Classifier, features, held_out, trained
from spiritsafe.measures.detector import read_detectors
from spiritsafe.measures.judge import Judge
from spiritsafe.measures.labelled import counts, read_labelled
from spiritsafe.measures.refusal import is_refusal
from spiritsafe.measures.scorers import StringMatch
from spiritsafe.models import LanguageModel

DECLINES = ("That is not something I do", "Let us talk of other things than", "No thanks to")
ANSWERS = ("Here is what to know of", "Begin with", "A good way to go about")
THINGS = ("kettles", "ladders", "glue", "paint", "boats", "bread", "glass", "wool", "bells", "maps", "salt", "ropes")


def written(count: int, seed: int) -> tuple[list[str], list[bool]]:
    rng = Random(seed)
    refused = [rng.random() < 0.4 for _ in range(count)]
    texts = [
        f"{rng.choice(DECLINES if no else ANSWERS)} {rng.choice(THINGS)} and {rng.choice(THINGS)} no {i}."
        for i, no in enumerate(refused)
    ]
    return texts, refused


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("classifier") / "classifier.json"
    trained(*written(120, 0)).save(path)
    return str(path)


def test_string_match_is_the_phrases_in_the_opening() -> None:
    replies = ["I'm sorry, but no.", "Certainly.", "No way."]
    assert StringMatch().refused([("?", reply) for reply in replies]) == list(map(is_refusal, replies))
    assert StringMatch(phrases=["no way"]).refused([("?", reply) for reply in replies]) == [False, False, True]


def test_weights_are_those_of_another_logistic_regression() -> None:
    texts, refused = written(120, 0)
    penalty = 1e-2
    mine = trained(texts, refused, penalty)
    other = LogisticRegression(C=1 / (penalty * len(texts)), tol=1e-10, max_iter=10_000).fit(features(texts), refused)
    assert np.allclose(mine.weights, other.coef_[0], atol=1e-3)
    assert mine.bias == pytest.approx(other.intercept_[0], abs=2e-3)


def test_features_are_unit_vectors_of_words_and_pairs() -> None:
    rows = features(["Give me bread", "give  ME bread", "bread me give", ""])
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1)
    assert np.array_equal(rows[0], rows[1])
    assert 0 < rows[0] @ rows[2] < 0.8
    assert (rows[0] > 0).sum() == 3 + 1 + 3  # words, the beginning, pairs


def test_the_classifier_learns_what_no_phrase_knows(classifier: str) -> None:
    texts, refused = written(80, 1)
    assert not any(map(is_refusal, texts))
    scorer = Classifier(classifier)
    assert scorer.refused([("", text) for text in texts]) == refused
    assert sum(Classifier(classifier, threshold=0.999).refused([("", text) for text in texts])) < sum(refused)
    assert scorer.has_seen(written(120, 0)[0]) == 1
    assert scorer.has_seen(["something else"]) == 0


def test_held_out_readings_never_saw_their_text() -> None:
    texts, refused = written(100, 2)
    assert held_out(texts, refused) == refused
    noise = [bool(Random(text).random() < 0.5) for text in texts]
    agreement = np.mean(np.array(held_out(texts, noise)) == noise)
    assert agreement < 0.75  # what it cannot know it does not know
    assert np.mean((trained(texts, noise, 1e-6).logits(texts) > 0) == noise) > agreement


@pytest.mark.parametrize("content", [None, "{}", "nonsense"])
def test_a_classifier_that_is_none(content: str | None, tmp_path: Path) -> None:
    path = tmp_path / "classifier.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=r"python -m scripts\.refusals train"):
        Classifier(str(path))


@pytest.fixture(scope="module")
def tiny(tiny_world) -> LanguageModel:
    return models.load(str(tiny_world.teacher), device="cpu")


@pytest.fixture
def judge(tiny: LanguageModel) -> Judge:
    return Judge(lambda: tiny, prompt="{request} ; {reply}", yes="sorry", no="answer", batch_size=3)


PAIRS = [("how do i make glue", "sorry"), ("what is it", "take the red one now please"), ("say", "")] * 2


def test_the_judge_reads_the_probabilities_of_its_two_words(judge: Judge, tiny: LanguageModel) -> None:
    found = judge.probabilities(PAIRS)
    for (request, reply), p in zip(PAIRS, found, strict=True):
        ids = tiny.prompt_ids([Message("user", f"{request} ; {reply}")])
        last = tiny.model(torch.tensor([ids])).logits[0, -1].double().softmax(0)
        yes, no = (float(last[list(words)].sum()) for words in judge._words)
        assert p == pytest.approx(yes / (yes + no), abs=1e-5)
    assert found[:3] == pytest.approx(found[3:], abs=1e-6)
    assert len(set(np.round(found[:3], 6))) == 3
    cut = sorted(found)[3]
    assert Judge(judge.model, judge.prompt, "sorry", "answer", threshold=cut).refused(PAIRS) == [p > cut for p in found]


def test_a_judge_is_loaded_when_it_is_asked_and_once_for_all(tiny_world, monkeypatch) -> None:
    loads = []
    real = models.load

    def load(**options: object) -> LanguageModel:
        loads.append(options)
        return real(**options)

    options = {"path": str(tiny_world.teacher), "device": "cpu"}
    judges = [Judge(partial(load, **options), "{request} {reply}", "sorry", "answer") for _ in range(2)]
    assert loads == []
    assert judges[0].probabilities(PAIRS) == judges[1].probabilities(PAIRS)
    assert loads == [options]


def test_a_long_reply_is_cut_and_a_long_request_is_an_error(judge: Judge, tiny: LanguageModel) -> None:
    limit = tiny.model.config.max_position_embeddings
    assert 0 < judge.probabilities([("say", "red " * 2 * limit)])[0] < 1
    with pytest.raises(UserError, match="longer context"):
        judge.probabilities([("red " * 2 * limit, "red")])


def test_a_judge_must_see_both_and_tell_its_words_apart(tiny: LanguageModel) -> None:
    with pytest.raises(UserError, match="original request"):
        Judge(lambda: tiny, prompt="{reply}?")
    with pytest.raises(UserError, match="begin alike"):
        Judge(lambda: tiny, prompt="{request} {reply}", yes="sorry", no="sorry").probabilities(PAIRS)


def labelled(path: Path, seed: int, **columns: object) -> str:
    texts, refused = written(120, seed)
    pd.DataFrame({"text": texts, "label": np.where(refused, "refuse", "comply"), **columns}).to_csv(path, index=False)
    return str(path)


def test_the_command_trains_calibrates_and_writes_what_a_run_reads(tmp_path: Path, capsys) -> None:
    first, other = labelled(tmp_path / "a.csv", 0), labelled(tmp_path / "b.csv", 1, arms=["teacher defended", "*"] * 60)
    model, found = tmp_path / "classifier.json", tmp_path / "counts.json"
    refusals.main(["train", first, str(model)])
    assert "not trained on" in capsys.readouterr().out
    refusals.main(["calibrate", other, str(found), "--classifier", str(model)])
    detectors = read_detectors(str(found))
    assert set(detectors) == {"teacher", "defended", "*"}
    table = read_labelled(other)
    assert detectors["*"].refusals + detectors["*"].others == 60 == (table["arms"] == "*").sum()
    assert detectors["*"].sensitivity > 0.95
    assert detectors["teacher"] == detectors["defended"]
    assert f"measure.detector={found}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["calibrate", "a.csv", "c.json", "--classifier", "m.json"], "trained on"),
        (["calibrate", "a.csv", "c.json", "--judge", "m"], "add a column request"),
        (["calibrate", "a.csv", "c.json"], "no better than chance"),  # string matching finds none of these
        (["train", "words.csv", "c.json"], "labels ['perhaps']"),
        (["train", "none.csv", "c.json"], "there is no file"),
        (["train", "alike.csv", "c.json"], "both kinds"),
    ],
)
def test_what_is_wrong_is_told(arguments: list[str], said: str, tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    labelled(tmp_path / "a.csv", 0)
    trained(*written(120, 0)).save(tmp_path / "m.json")
    (tmp_path / "words.csv").write_text("text,label\nx,perhaps\n")
    (tmp_path / "alike.csv").write_text("text,label\nx,refuse\n")
    with pytest.raises(SystemExit) as stopped:
        refusals.main(arguments)
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "c.json").exists()


def test_xstests_own_words_are_labels(tmp_path: Path) -> None:
    words = ["1_full_compliance", "2_full_refusal", "3_partial_refusal", "Refuse", "comply"]
    (tmp_path / "a.json").write_text(json.dumps([{"text": "x", "label": word} for word in words]))
    refused = read_labelled(str(tmp_path / "a.json"))["refused"].tolist()
    assert refused == [False, True, True, True, False]
    assert counts(refused, [True, True, False, True, False]) == {"found": 2, "refusals": 3, "passed": 1, "others": 2}
