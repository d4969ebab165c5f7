"""Every figure's file: what it runs composes at both scales, and what it prints may be printed."""

from pathlib import Path

import pytest
import yaml

from scripts import figures_page
from scripts.figures import FOLDER, figure, labs, names, overrides, parsed
from spiritsafe.campaign.window_table import PUBLISHED
from spiritsafe.errors import UserError
from spiritsafe.experiment.check import check_learning
from spiritsafe.experiment.settings import build
from spiritsafe.report.papers.spec import UNPRINTABLE, Spec, read

NAMES = names()
SPECS = {name: read(FOLDER / f"{name}.yaml") for name in NAMES}
EXPERIMENTS = [(name, run) for name in NAMES for run, each in SPECS[name].runs.items() if each.table == "experiment"]


def altered(path: str, value: object) -> dict[str, object]:
    """The first figure's file as data, with one thing in it changed."""
    found = yaml.safe_load((FOLDER / "reasoning_withheld.yaml").read_text())
    *parents, last = path.split(".")
    inner = found
    for name in parents:
        inner = inner[int(name) if name.isdigit() else name]
    inner[last] = value
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_figure_says_what_it_shows(name):
    spec = SPECS[name]
    assert spec.title
    assert spec.question.endswith("?")
    for each in spec.published:
        assert each.source
        assert each.place
        assert each.tag not in UNPRINTABLE


@pytest.mark.parametrize(("name", "run"), EXPERIMENTS)
def test_every_run_composes_at_both_scales(name, run, tiny_world, tmp_path):
    spec = SPECS[name]
    for lab in labs(overrides(spec, run, "lab", {}, [f"paths.runs={tmp_path}"])).values():
        check_learning(lab)
        lab.attack()
    models = {"teacher": tiny_world.teacher, "student": tiny_world.student, "proxy": tiny_world.proxy}
    given = {need: models.get(need, tmp_path) for need in spec.full.needs}
    asked = overrides(spec, run, "full", given)
    assert not [text for text in asked if "<" in text]
    for lab in labs(asked).values():
        assert lab.budget.exchanges >= 5000
        assert lab.recipe.lora is not None
        for stack in lab.config["stacks"].values():
            assert all("student/reference" not in str(part) for part in stack.values())
            build(stack)


@pytest.mark.parametrize(
    ("tag", "said"),
    [("S", "never drawn"), ("M", "never drawn"), ("unresolved", "never drawn"), ("X", "no evidence tag")],
)
def test_a_number_that_may_not_be_printed_is_refused(tag, said, tmp_path):
    path = tmp_path / "odd.yaml"
    path.write_text(yaml.safe_dump(altered("published.0.tag", tag)))
    with pytest.raises(UserError, match=r"odd\.yaml is no figure: published\.0\.tag: .*" + said):
        read(path)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("published.0.source", "a talk", "published.0.source"),
        ("published.0.direction", "less", "either points or a direction"),
        ("published.0.y", "", "need a title and the x and y"),
        ("full.needs.judge", "a model", "full.needs.judge stands nowhere"),
        ("draw.colour", "red", "draw.colour"),
        ("lab.minutes", 0, "lab.minutes"),
        ("same", "", "same"),
        ("runs.a/b", {}, "cannot name a folder"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(path, value, said):
    with pytest.raises(ValueError, match=said.replace(".", r"\.?")) as caught:
        Spec.model_validate(altered(path, value))
    assert said.replace("full.needs.judge", "judge").split()[0].split(".")[0] in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["figure=nothing"], "there is no figure 'nothing': set figure= to all or one of .*reasoning_withheld"),
        ([], "there is no figure ''"),
        (["figure=all", "scale=huge"], "set scale=lab or scale=full"),
        (["figure=all", "given.teacher=/nowhere"], "nothing is downloaded"),
    ],
)
def test_a_wrong_option_is_named(arguments, said):
    with pytest.raises(UserError, match=said):
        parsed(arguments)


def test_options_of_the_command_and_of_its_runs_are_told_apart(tmp_path):
    found = parsed(["figure=all", "measure.seeds=5", "scale=full", f"given.teacher={tmp_path}"])
    assert found == ("all", "full", {"teacher": tmp_path}, ["measure.seeds=5"])


@pytest.mark.parametrize("name", NAMES)
def test_full_scale_tells_what_it_would_run_and_runs_nothing(name, capsys, tmp_path):
    found = figure(name, "full", {}, [f"paths.runs={tmp_path}"], tmp_path / name)
    said = capsys.readouterr().out
    assert found.error
    assert f"about {SPECS[name].full.gpu_hours:g} hours on one H100" in said
    assert "given." in said
    assert not list(Path(tmp_path).iterdir())


def test_the_page_of_all_figures_is_up_to_date():
    assert figures_page.PAGE.read_text() == figures_page.page()
    assert all(f"[`{name}`]" in figures_page.page() for name in NAMES)


def test_detectors_are_published_as_their_table_has_them():
    [published] = SPECS["detectors"].published
    for name, curve in published.points.items():
        expected = zip(PUBLISHED["shares"], PUBLISHED["detectors"][name]["tpr"], strict=True)
        assert curve == tuple((pytest.approx(100 * share), pytest.approx(100 * rate)) for share, rate in expected)
