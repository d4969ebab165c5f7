"""An experiment whose student reads bytes, and its teacher words."""

import logging

import pytest
from command import laboratory
from reads_bytes import write_bytes_model

from spiritsafe.errors import UserError
from spiritsafe.experiment.check import check
from spiritsafe.experiment.keys import Arm

ARM = Arm("attacked", "none", 8)


@pytest.fixture(scope="module")
def bytes_student(tmp_path_factory):
    return write_bytes_model(tmp_path_factory.mktemp("bytes"))


def lab(small, tmp_path, student, *overrides):
    options = [f"student.path={student}", "compare=[]", "budget.checkpoints=[8]", f"paths.runs={tmp_path}"]
    return laboratory(*small, *options, *overrides)


def losses(found):
    found.harvested("none")
    assert found.distilled(ARM) is not None
    return found.store.stage("distill", found.distill_key(ARM)).manifest.notes["loss"]


def test_uld_reads_the_teacher_that_the_config_names(small, tmp_path, bytes_student, caplog):
    told = lab(small, tmp_path, bytes_student, "interface=logprobs", "objective=uld")
    assert told.config["objective"]["tokenizer"] == told.config["teacher"]["path"]
    assert not told.same_tokenizer
    with caplog.at_level(logging.WARNING):
        first, _ = losses(told)
    assert "learns from the text alone" not in caplog.text
    text, _ = losses(lab(small, tmp_path, bytes_student, "interface=logprobs", "objective=sft"))
    assert first > text  # the distance comes on top of cross-entropy


def test_others_are_refused_with_a_remedy(small, tmp_path, bytes_student):
    with pytest.raises(UserError, match="objective=uld"):
        check(lab(small, tmp_path, bytes_student, "interface=logprobs", "objective=topk_kl"))
    with pytest.raises(UserError, match=r"set objective\.tokenizer"):
        losses(lab(small, tmp_path, bytes_student, "interface=logprobs", "objective=uld", "objective.tokenizer=null"))
