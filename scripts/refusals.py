"""Who reads refusals, made and measured on outputs that a person has labelled.

    python -m scripts.refusals train labelled.csv classifier.json
    python -m scripts.refusals calibrate others.csv counts.json [--classifier classifier.json | --judge FOLDER]

A labelled file has the columns text (a reply) and label (refuse or comply); for calibration also arms (the arms it
stands for, e.g. "teacher defended"; none is all) and, for a judge, request. `measure.detector=counts.json` then
corrects refusal rates. At least a hundred outputs an arm; calibrate on others than the classifier was trained on.
"""

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from scripts.told import told
from spiritsafe import models
from spiritsafe.errors import UserError
from spiritsafe.measures.classifier import Classifier, held_out, trained
from spiritsafe.measures.detector import Detector, write_detectors
from spiritsafe.measures.judge import Judge
from spiritsafe.measures.labelled import counts, read_labelled
from spiritsafe.measures.scorers import Scorer, StringMatch


def train(labelled: str, out: Path) -> None:
    table = read_labelled(labelled)
    texts, refused = table["text"].tolist(), table["refused"].tolist()
    trained(texts, refused).save(out)
    print(f"{out}: trained on {len(texts)} outputs; on outputs it was not trained on, of five folds:")
    print(_told(Detector("all", **counts(refused, held_out(texts, refused)))))


def calibrate(labelled: str, out: Path, scorer: Scorer) -> None:
    table = read_labelled(labelled)
    if isinstance(scorer, Classifier) and scorer.has_seen(table["text"].tolist()) > 0.5:
        raise UserError(
            f"most outputs of {labelled!r} are those the classifier was trained on, where it errs least: label others"
        )
    if isinstance(scorer, Judge) and not table["request"].str.strip().all():
        raise UserError(f"a judge reads requests too: add a column request to {labelled!r}")
    read = scorer.refused(list(zip(table["request"], table["text"], strict=True)))
    found = {}
    for arms, rows in table.assign(read=read).groupby("arms", sort=False):
        names = tuple(str(arms).split())
        found[names] = counts(rows["refused"].tolist(), rows["read"].tolist())
        print(f"{', '.join(names)}: {_told(Detector('+'.join(names), **found[names]))}")
    write_detectors(out, found)
    print(f"use it with measure.detector={out}")


def _told(detector: Detector) -> str:
    return (
        f"sensitivity {detector.sensitivity:.3f} ({detector.found} of {detector.refusals} refusals), specificity "
        f"{detector.specificity:.3f} ({detector.passed} of {detector.others} others)"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["train", "calibrate"])
    parser.add_argument("labelled")
    parser.add_argument("out", type=Path)
    parser.add_argument("--classifier", help="a file that train wrote")
    parser.add_argument("--judge", help="a folder or hub id of a local model")
    parser.add_argument("--revision", help="of a hub id")
    given = parser.parse_args(arguments)
    with told():
        if given.what == "train":
            return train(given.labelled, given.out)
        scorer: Scorer = StringMatch()
        if given.classifier:
            scorer = Classifier(given.classifier)
        elif given.judge:
            scorer = Judge(partial(models.load, path=given.judge, revision=given.revision))
        calibrate(given.labelled, given.out, scorer)


if __name__ == "__main__":
    main()
