"""Correction of refusal rates: exact where it must be, honest about few labels where it cannot."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from spiritsafe.errors import UserError
from spiritsafe.measures.bootstrap import Bootstrap, estimate, resampled_means
from spiritsafe.measures.detector import Detector, described, detector_of, read_detectors, write_detectors
from spiritsafe.measures.refusal import corrected_rate
from spiritsafe.measures.transfer import headline

LABELS = Path(__file__).parents[3] / "shared" / "data" / "xstest" / "refusal_labels_5models.csv"
SPEND = pd.DataFrame(
    columns=["defense", "exchanges", "sent", "answered", "banned", "kept", "untrained", "completion_tokens",
             "prompt_tokens", "accounts", "dollars"]
)  # fmt: skip
PERFECT = Detector("exact", 100, 100, 100, 100)


def counts(person: pd.Series, read: pd.Series) -> dict[str, int]:
    return {
        "found": int((person & read).sum()), "refusals": int(person.sum()),
        "passed": int((~person & ~read).sum()), "others": int((~person).sum()),
    }  # fmt: skip


@pytest.fixture(scope="module")
def labelled() -> pd.DataFrame:
    """Three of the models as teacher, format-only and attacked student; ``person`` and ``read`` say who refused."""
    if not LABELS.is_file():
        pytest.skip("the XSTest refusal labels are not beside this checkout (../shared/data/xstest)")
    table = pd.read_csv(LABELS)
    for column, name in (("human_final", "person"), ("strmatch", "read")):
        table[name] = table[column].str.startswith(("2_", "3_"))
    arms = {"gpt4": "teacher", "mistralinstruct": "format", "mistralguard": "attacked"}
    table = table[table["model"].isin(arms)]
    unsafe = table["type"].str.startswith("contrast")
    harmful = pd.Series(np.where(unsafe, "harmful", "lookalike"), table.index)
    return table.assign(
        arm=table["model"].map(arms), defense="none", exchanges=64, seed=0, task=harmful, kind=harmful,
        item=table["id"], cluster="", strict=False, flexible=False, forced=False, extracted=True, tokens=1,
    )  # fmt: skip


def scored(labelled: pd.DataFrame, column: str) -> pd.DataFrame:
    items = labelled.assign(behaviour=np.where(labelled[column], "refuse", "comply"))
    skills = items[items["task"] == "harmful"].assign(task="skill", kind="capability", behaviour="comply")
    return pd.concat([items, skills], ignore_index=True)


def calibrated(labelled: pd.DataFrame) -> dict[str, Detector]:
    return {arm: Detector(arm, **counts(rows["person"], rows["read"])) for arm, rows in labelled.groupby("arm")}


def run(items: pd.DataFrame, detectors: dict[str, Detector] | None = None) -> dict:
    [row] = headline(items, SPEND, ["skill"], resamples=400, detectors=detectors)
    return row


def test_without_detectors_nothing_changes_to_the_last_bit(labelled: pd.DataFrame) -> None:
    items = scored(labelled, "read")
    assert json.dumps(run(items)) == json.dumps(run(items, {})) == json.dumps(run(items, None))
    assert json.dumps(run(items)) != json.dumps(run(items, calibrated(labelled)))


def test_calibrated_on_the_same_rows_the_rate_is_what_people_saw(labelled: pd.DataFrame) -> None:
    """Over both halves together, because there the errors were counted; each half alone has errors of its own."""
    items = scored(labelled, "read").replace({"lookalike": "harmful"})
    truth = labelled[labelled["arm"] == "attacked"]["person"].mean()
    found = run(items, calibrated(labelled))["R_h"]
    assert found["value"] == pytest.approx(truth, abs=1e-6)  # scores are kept in single precision
    assert found["low"] < truth < found["high"]
    assert run(items)["R_h"]["value"] < truth - 0.05  # string matching misses this model's refusals


def test_half_by_half_the_biased_rate_is_put_right(labelled: pd.DataFrame) -> None:
    for half, rows in labelled.groupby("task"):
        mine = rows.assign(task="harmful", kind="harmful", behaviour=np.where(rows["read"], "refuse", "comply"))
        skills = mine.assign(task="skill", kind="capability")
        guard = rows[rows["arm"] == "attacked"]
        detector = Detector("guard", **counts(guard["person"], guard["read"]))
        table = pd.concat([mine, skills], ignore_index=True)
        rate = run(table, {"attacked": detector, "*": PERFECT})["R_h"]["value"]
        assert rate == pytest.approx(guard["person"].mean(), abs=1e-6), half


def test_columns_are_made_of_corrected_rates(labelled: pd.DataFrame) -> None:
    detectors = calibrated(labelled)
    row, plain = run(scored(labelled, "read"), detectors), run(scored(labelled, "read"))

    def right(arm: str, task: str) -> float:
        observed = labelled[(labelled["arm"] == arm) & (labelled["task"] == task)]["read"].mean()
        return corrected_rate(observed, detectors[arm].sensitivity, detectors[arm].specificity)

    j = {arm: right(arm, "harmful") - right(arm, "lookalike") for arm in detectors}
    assert row["R_b"]["value"] == pytest.approx(right("attacked", "lookalike"))
    assert row["J"]["value"] == pytest.approx(j["attacked"])
    st = (j["attacked"] - j["format"]) / (j["teacher"] - j["format"])
    assert row["ST"]["value"] == pytest.approx(st)
    assert abs(row["ST"]["value"] - plain["ST"]["value"]) > 0.05
    assert row["CT"] == plain["CT"]


def test_few_labels_make_a_wide_interval(labelled: pd.DataFrame) -> None:
    items = scored(labelled, "read")

    def width(factor: int) -> float:
        detector = Detector("d", 8 * factor, 10 * factor, 9 * factor, 10 * factor)
        column = run(items, {"*": detector})["R_h"]
        return column["high"] - column["low"]

    assert width(1) > 1.5 * width(20)
    assert width(20) == pytest.approx(width(200), rel=0.35)


def test_arms_that_share_a_detector_share_its_errors() -> None:
    bootstrap, rates = Bootstrap(2000, 3), np.full(2001, 0.5)
    one, same, other = (Detector(name, 80, 100, 90, 100) for name in ("a", "a", "b"))
    drawn = one.corrected(rates, bootstrap)
    assert np.array_equal(drawn, same.corrected(rates, bootstrap))
    assert abs(np.corrcoef(drawn[1:], other.corrected(rates, bootstrap)[1:])[0, 1]) < 0.1
    assert not np.array_equal(drawn, one.corrected(rates, Bootstrap(2000, 4)))


def test_an_exact_detector_corrects_nothing_at_point_value() -> None:
    observed = np.linspace(0, 1, 101)
    drawn = Detector("d", 10**9, 10**9, 10**9, 10**9).corrected(observed, Bootstrap(100))
    assert drawn == pytest.approx(observed, abs=1e-6)
    assert drawn[0] == 0


def test_corrected_intervals_cover_and_uncorrected_ones_do_not() -> None:
    """A detector that misses a fifth of refusals, calibrated on 100 labelled outputs of each kind; 200 test prompts."""
    rng, truth, sensitivity, specificity, n, labels = np.random.default_rng(0), 0.7, 0.8, 0.95, 200, 100
    covered = {"corrected": 0, "observed": 0}
    repetitions = 200
    for seed in range(repetitions):
        bootstrap = Bootstrap(400, seed)
        refused = rng.random(n) < truth
        read = rng.random(n) < np.where(refused, sensitivity, 1 - specificity)
        found, passed = rng.binomial(labels, sensitivity), rng.binomial(labels, specificity)
        detector = Detector("d", found, labels, passed, labels)
        items = bootstrap.items(np.arange(n).astype(str))
        [observed] = resampled_means(read[None, None], bootstrap.seeds(1), items)
        for name, draws in (("observed", observed), ("corrected", detector.corrected(observed, bootstrap))):
            interval = estimate(draws, "rate")
            covered[name] += interval["low"] <= truth <= interval["high"]
    assert 0.90 < covered["corrected"] / repetitions <= 0.99
    assert covered["observed"] / repetitions < 0.15


def test_an_arm_without_a_calibration_is_an_error() -> None:
    known = {"attacked": PERFECT, "attacked/ads": Detector("ads", 1, 2, 3, 3)}
    assert detector_of(known, "attacked", "ads").name == "ads"
    assert detector_of(known, "attacked", "none") is PERFECT
    assert detector_of({"*": PERFECT}, "teacher") is PERFECT
    assert detector_of({}, "teacher") is None
    with pytest.raises(UserError, match="not for the arm 'teacher'"):
        detector_of(known, "teacher")


@pytest.mark.parametrize(
    ("numbers", "said"),
    [((3, 2, 1, 1), "no more hits"), ((0, 0, 5, 5), "outputs of both kinds"), ((1, 2, 1, 2), "no better than chance")],
)
def test_counts_that_say_nothing_are_refused(numbers: tuple[int, int, int, int], said: str) -> None:
    with pytest.raises(UserError, match=said):
        Detector("d", *numbers)


def test_too_few_labels_to_tell_from_chance() -> None:
    with pytest.raises(UserError, match="label more"):
        Detector("d", 2, 3, 2, 3).corrected(np.full(1001, 0.5), Bootstrap(1000))


def test_the_file_reads_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "counts.json"
    write_detectors(path, {("teacher", "defended"): PERFECT.counts, ("*",): Detector("*", 8, 10, 9, 10).counts})
    found = read_detectors(str(path))
    assert list(found) == ["teacher", "defended", "*"]
    assert found["teacher"] == found["defended"] == Detector("teacher+defended", 100, 100, 100, 100)
    assert described(found)["*"] == {"name": "*", "found": 8, "refusals": 10, "passed": 9, "others": 10}
    assert read_detectors(None) == {}
    for text in ("[{}]", "nonsense", '{"teacher": 1}'):
        path.write_text(text)
        with pytest.raises(UserError, match=r"measure\.detector"):
            read_detectors(str(path))
    with pytest.raises(UserError, match=r"measure\.detector"):
        read_detectors(str(tmp_path / "none.json"))
