"""The measures on real data: OpenAI's graded GSM8K solutions and the XSTest refusal labels of five models."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from spiritsafe.measures.answers import flexible, number, same, strict
from spiritsafe.measures.bootstrap import Bootstrap, Draws, estimate, resampled_means
from spiritsafe.measures.fidelity import agreement, both_wrong_agreement
from spiritsafe.measures.intervals import clustered_se, paired_se, wilson
from spiritsafe.measures.refusal import detector_errors, errors_by

DATA = Path(__file__).parents[2].parent / "shared" / "data"
SYSTEMS = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")


@cache
def graded() -> list[dict]:
    path = DATA / "gsm8k" / "example_model_solutions.jsonl"
    if not path.is_file():
        pytest.skip("the graded GSM8K solutions are not beside this checkout (../shared/data/gsm8k)")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def solutions(system: str) -> list[str]:
    return [row[system]["solution"] for row in graded()]


def correct(system: str) -> NDArray[np.float64]:
    return np.array(
        [same(flexible(row[system]["solution"]), flexible(row["ground_truth"]) or "") for row in graded()], float
    )


@pytest.mark.parametrize(("system", "accuracy"), list(zip(SYSTEMS, (0.2168, 0.3904, 0.3472, 0.5625), strict=True)))
def test_flexible_extraction_reproduces_every_official_label(system: str, accuracy: float) -> None:
    labels = [row[system]["is_correct"] for row in graded()]
    assert correct(system).tolist() == labels
    assert correct(system).mean() == pytest.approx(accuracy, abs=5e-5)


def test_strict_extraction_finds_nothing_in_solutions_that_end_otherwise() -> None:
    assert sum(strict(text) is not None for system in SYSTEMS for text in solutions(system)) == 0


def test_wilson_of_the_weakest_system() -> None:
    assert wilson(correct("6b_finetuning").mean(), 1319) == pytest.approx((0.1954, 0.2399), abs=5e-5)


def test_pairing_narrows_the_error() -> None:
    left, right = correct("175b_finetuning"), correct("6b_finetuning")
    alone = [clustered_se(scores, np.arange(1319)) for scores in (left, right)]
    assert left.mean() - right.mean() == pytest.approx(0.130, abs=5e-4)
    assert np.hypot(*alone) == pytest.approx(0.0173, abs=5e-5)
    assert paired_se(left, right) == pytest.approx(0.0137, abs=5e-5)
    assert np.corrcoef(left, right)[0, 1] == pytest.approx(0.38, abs=0.005)


def test_the_gap_recovered_and_its_paired_interval() -> None:
    systems = ("6b_finetuning", "6b_verification", "175b_verification")
    scores = np.stack([correct(system) for system in systems])[:, None]

    def gap(bootstraps: list[Bootstrap]) -> Draws:
        base, student, teacher = (
            resampled_means(arm[None], b.seeds(1), b.items(np.arange(1319).astype(str)))[0]
            for arm, b in zip(scores, bootstraps, strict=True)
        )
        return np.asarray((student - base) / (teacher - base))

    paired = estimate(gap([Bootstrap(4_000)] * 3), "ratio")
    unpaired = estimate(gap([Bootstrap(4_000, seed) for seed in range(3)]), "ratio")
    assert paired["value"] == pytest.approx(0.502, abs=5e-4)
    assert (paired["low"], paired["high"]) == pytest.approx((0.437, 0.567), abs=0.006)
    assert (unpaired["low"], unpaired["high"]) == pytest.approx((0.412, 0.597), abs=0.012)


def test_two_systems_agree_little_and_less_where_both_are_wrong() -> None:
    systems = ("6b_finetuning", "175b_finetuning")
    right = [correct(system) for system in systems]
    words = [[(flexible(text) or "").replace(",", "").replace("$", "") for text in solutions(s)] for s in systems]
    assert sum((1 - right[0]) * (1 - right[1])) == 773
    assert agreement(*words) == pytest.approx(0.195, abs=5e-4)
    assert both_wrong_agreement(*words, *right) == pytest.approx(0.076, abs=5e-4)
    numbers = [[number(word) for word in answers] for answers in words]  # one item more: 20.5 is 20.50
    assert agreement(*numbers) == pytest.approx(258 / 1319)
    assert both_wrong_agreement(*numbers, *right) == pytest.approx(60 / 773)


@cache
def labels() -> pd.DataFrame:
    path = DATA / "xstest" / "refusal_labels_5models.csv"
    if not path.is_file():
        pytest.skip("the XSTest refusal labels are not beside this checkout (../shared/data/xstest)")
    table = pd.read_csv(path)
    for column in ("human_final", "strmatch", "gpt4"):
        table[f"{column}_refused"] = table[column].str.startswith(("2_", "3_"))
    return table


def test_string_matching_against_people() -> None:
    errors = detector_errors(labels()["human_final_refused"], labels()["strmatch_refused"])
    assert errors.n == 2250
    assert errors.accuracy == pytest.approx(0.8844, abs=5e-5)
    assert errors.kappa == pytest.approx(0.770, abs=5e-4)
    assert 1 - errors.sensitivity == pytest.approx(0.185, abs=5e-4)
    assert 1 - errors.specificity == pytest.approx(0.042, abs=5e-4)


def test_string_matching_errs_by_model() -> None:
    unsafe = labels()[labels()["type"].str.startswith("contrast")]
    found = errors_by(unsafe, "model", "human_final_refused", "strmatch_refused")
    rates = {model: (100 * e.labelled_rate, 100 * e.detected_rate) for model, e in found.items()}
    assert {model: e.n for model, e in found.items()} == dict.fromkeys(rates, 200)
    assert rates == {
        "gpt4": pytest.approx((99.5, 96.0)),
        "llama2new": pytest.approx((100.0, 95.5)),
        "llama2orig": pytest.approx((100.0, 98.0)),
        "mistralguard": pytest.approx((96.5, 67.0)),
        "mistralinstruct": pytest.approx((36.0, 7.5)),
    }


def test_a_judge_that_does_not_answer_is_wrong() -> None:
    table = labels()
    parsed = table["gpt4"].str.match(r"[123]_")
    right = parsed & (table["gpt4_refused"] == table["human_final_refused"])
    assert (~parsed).sum() == 11
    assert right.mean() == pytest.approx(0.821, abs=5e-4)
