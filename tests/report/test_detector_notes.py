"""What a report says of corrected refusal rates, and that its reference arms are corrected too."""

from dataclasses import replace

import campaign
import pandas as pd

from spiritsafe.measures.detector import Detector
from spiritsafe.report.content import Content, references
from spiritsafe.report.notes import caveats

TEACHERS, STUDENTS = Detector("teacher+defended", 90, 100, 95, 100), Detector("*", 60, 100, 99, 110)
DETECTORS = {"teacher": TEACHERS, "defended": TEACHERS, "*": STUDENTS}


def test_each_detector_is_told_once_with_its_errors(content: Content) -> None:
    corrected = replace(content, facts=replace(content.facts, detectors=DETECTORS))
    said = [note for note in caveats(corrected) if "corrected for a detector" in note]
    assert len(said) == 2
    assert said[0].startswith("Refusal rates of teacher and defended are corrected")
    assert "90 of 100 labelled refusals (sensitivity 0.900) and passes 95 of 100 other" in said[0]
    assert said[1].startswith("Refusal rates of all other arms")
    assert not [note for note in caveats(content) if "corrected for a detector" in note]


def test_reference_arms_are_corrected_by_their_own_detector(items: pd.DataFrame) -> None:
    plain, found = (
        {row["defense"]: row for row in references(items, campaign.TARGETED, detectors)}
        for detectors in ({}, DETECTORS)
    )
    for name, detector in (("teacher", TEACHERS), ("bare", STUDENTS)):
        observed = plain[name]["R_h"]["value"]
        power = detector.sensitivity + detector.specificity - 1
        assert found[name]["R_h"]["value"] == (observed + detector.specificity - 1) / power
    assert found["teacher"]["ST"]["value"] == 1  # the teacher as a student is the teacher
