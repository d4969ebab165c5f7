"""Real pretrained checkpoints through the path of every other model. The values are those of an independent reader."""

import json
from itertools import pairwise

import pytest
import torch
from checkpoints import PIECES, STORIES, STUDENT, TEACHER, needs_checkpoints

from scripts import convert_llama2c
from scripts.convert_llama2c import convert, read_pieces
from spiritsafe.attack import Example
from spiritsafe.errors import UserError
from spiritsafe.exchange import Message
from spiritsafe.measures.fidelity import top1_agreement
from spiritsafe.measures.nll import nll
from spiritsafe.models import LanguageModel, load

pytestmark = needs_checkpoints


@pytest.fixture(scope="module")
def teacher(tmp_path_factory) -> LanguageModel:
    return load(str(convert(TEACHER, PIECES, tmp_path_factory.mktemp("teacher"))), device="cpu")


@pytest.fixture(scope="module")
def student(tmp_path_factory) -> LanguageModel:
    return load(str(convert(STUDENT, PIECES, tmp_path_factory.mktemp("student"))), device="cpu")


@pytest.fixture(scope="module")
def reference() -> dict:
    return json.loads(TEACHER.with_name("reference.json").read_text())


@pytest.fixture(scope="module")
def stories() -> list[str]:
    return [piece.strip() for piece in STORIES.read_text().split("<|endoftext|>")[1:-1]]


def documents(stories: list[str]) -> list[Example]:
    return [Example((Message("user", ""),), f" {story}") for story in stories]


def test_the_reference_prompt_gives_the_reference_ids_and_logits(teacher, reference):
    ids = teacher.prompt_ids([Message("user", reference["prompt"])])
    assert ids == reference["ids"]
    expected = torch.tensor(reference["last_logits_first8"])
    last = teacher.model(torch.tensor([ids])).logits[0, -1]
    assert torch.allclose(last[:8], expected, rtol=0, atol=1e-4)
    assert last.argmax() == reference["last_argmax"] == 338
    with torch.inference_mode():
        exact = convert_llama2c.read_model(TEACHER).double()(torch.tensor([ids])).logits[0, -1]
    assert torch.allclose(exact[:8], expected.double(), rtol=0, atol=1e-5)


def test_greedy_text_is_the_documented_one(teacher, reference):
    expected = reference["greedy_from_bos_ids"]
    ids = teacher.model.generate(torch.tensor([[1]]), do_sample=False, max_length=len(expected))[0].tolist()
    assert ids == expected
    assert teacher.decode(ids).startswith(" Once upon a time, there was a little girl named Lily. She loved to play")


def test_nll_of_both_models(teacher, student, stories):
    for model, expected in ((teacher, 1.2382), (student, 1.8967)):
        mean, tokens = nll(model, documents(stories[:40]), max_length=256)
        assert tokens == 9857
        assert mean == pytest.approx(expected, abs=6e-5)


def test_the_rotary_rows_must_change_places(stories, tmp_path, monkeypatch):
    monkeypatch.setattr(convert_llama2c, "halves", lambda weight, width: weight)
    broken = load(str(convert(TEACHER, PIECES, tmp_path)), device="cpu")
    assert nll(broken, documents(stories[:40]), max_length=256)[0] > 1.2382 + 0.5


def test_agreement_and_divergence_of_the_pair(teacher, student, stories):
    agreements, divergences = [], []
    for story in stories[:60]:
        ids = torch.tensor([teacher.prompt_ids([Message("user", story)])[:256]])
        with torch.inference_mode():
            left, right = (model.model(ids).logits[0, :-1].log_softmax(-1) for model in (teacher, student))
        agreements.append(top1_agreement(left.numpy(), right.numpy()))
        divergences.append(float((left.exp() * (left - right)).sum(-1).mean()))
    assert sum(agreements) / 60 == pytest.approx(0.617, abs=6e-4)
    assert sum(divergences) / 60 == pytest.approx(0.652, abs=6e-4)


def greedy_merges(text: str, pieces: list[tuple[str, float]]) -> list[int]:
    """SentencePiece BPE as run.c does it: merge the best-scored neighbours, leftmost first, until nothing merges."""
    ids = {piece: index for index, (piece, _) in enumerate(pieces)}
    tokens = [t for c in text for t in ([ids[c]] if c in ids else [byte + 3 for byte in c.encode()])]
    while True:
        pairs = [pieces[a][0] + pieces[b][0] for a, b in pairwise(tokens)]
        known = [(-pieces[ids[pair]][1], place) for place, pair in enumerate(pairs) if pair in ids]
        if not known:
            return tokens
        place = min(known)[1]
        tokens[place : place + 2] = [ids[pairs[place]]]


def test_the_tokenizer_merges_like_sentencepiece_and_loses_nothing(teacher, stories):
    pieces = read_pieces(PIECES, 512)
    foreign = [story for story in stories if not story.isascii()][:15]
    for text in [
        *(f" {story}" for story in (*stories[:15], *foreign)),
        "aaaaaaa  bb\n\n\n",
        "日本 né",
        "continued, not",
    ]:
        ids = teacher.completion_ids(text)
        assert ids == [*greedy_merges(text, pieces), 1]
        assert teacher.decode(ids) == text


def test_a_continuation_encodes_as_in_the_whole(teacher, stories):
    story = stories[0]
    cut = story.index(" ", 60)
    parts = teacher.prompt_ids([Message("user", story[:cut])]) + teacher.completion_ids(story[cut:])
    assert parts == [*teacher.prompt_ids([Message("user", story)]), 1]


def test_the_command_line_writes_a_folder_and_names_remedies(tmp_path, capsys):
    convert_llama2c.main([str(STUDENT), str(PIECES), str(tmp_path / "model")])
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {
        file.name for file in (tmp_path / "model").iterdir()
    }
    with pytest.raises(SystemExit) as stopped:
        convert_llama2c.main([str(tmp_path / "no.bin"), str(PIECES), str(tmp_path / "other")])
    assert stopped.value.code == 2
    assert "there is no file" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("content", "remedy"),
    [(b"", "no llama2.c checkpoint"), (b"ak42" * 64, "header asks"), (None, "cut short")],
)
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, content, remedy):
    file = tmp_path / "broken.bin"
    file.write_bytes(TEACHER.read_bytes()[:-4] if content is None else content)
    with pytest.raises(UserError, match=remedy):
        convert(file, PIECES, tmp_path / "out")


def test_a_tokenizer_of_another_size_is_refused():
    for vocabulary in (511, 513):
        with pytest.raises(UserError, match=f"{vocabulary} pieces"):
            read_pieces(PIECES, vocabulary)
