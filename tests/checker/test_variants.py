"""Test variants: files of named edits, and their checks."""

import json
import re
import shlex
from pathlib import Path

import pytest
import torch
from checking import check_text, reference_text
from default_share import few, slowly
from pages import page
from processes import ROOT, paths_of_tests, run_python
from small_runs import PLAY, flags
from typer.testing import CliRunner

from gpt2_small import binding
from gpt2_small.checker import variants
from gpt2_small.checker.claims.judging.runner import reference
from gpt2_small.checker.claims.modules.parameter_shapes import parameters_of
from gpt2_small.checker.mistakes.edited_reference import edited_text
from gpt2_small.checker.mistakes.mistake import find
from gpt2_small.checker.parts import PARTS
from gpt2_small.checker.variants import variant_set
from gpt2_small.cli import app

DECODER = ("block-post-norm", "mlp-relu", "positional-embedding-sinusoidal")
SMALL = {"d_model": 24, "n_layers": 2, "n_heads": 3, "n_ctx": 12, "d_vocab": 29}


def text_of(*ids: str) -> str:
    return variant_set(ids).reference_text()


def model_of(*ids: str) -> torch.nn.Module:
    module = reference(variant_set(ids)) if ids else reference()
    torch.manual_seed(0)
    return module.Transformer(module.TransformerConfig(**SMALL)).eval()


def test_a_variant_passes_as_itself(tmp_path: Path) -> None:
    parts = ("PositionalEmbedding", "MLP", "TransformerBlock")
    verdict = check_text(tmp_path, text_of(*DECODER), *parts, variant=DECODER)
    assert {result.status for result in verdict.results} == {"passed"}
    assert len(verdict.results) > 50


@pytest.mark.slow
@pytest.mark.parametrize("ids", [DECODER, *((edit.id,) for edit in variants.EDITS)])
def test_every_part_of_a_variant_passes_as_itself(tmp_path: Path, ids: tuple[str, ...]) -> None:
    verdict = check_text(tmp_path, text_of(*ids), variant=ids)
    assert verdict.exit_code == 0


def test_a_variant_checked_as_gpt_2_is_told_how_to_be_checked_as_itself(tmp_path: Path) -> None:
    ids = ("block-post-norm", "mlp-relu")
    verdict = check_text(tmp_path, text_of(*ids))
    wrong = [part for part in PARTS if verdict.state_of(part) != "passed"]
    assert wrong == ["MLP", "TransformerBlock"]
    assert verdict.remarks[-1].endswith("--as mlp-relu,block-post-norm")


def test_a_variant_fails_as_gpt_2(tmp_path: Path) -> None:
    verdict = check_text(tmp_path, text_of("rotary"), "MultiHeadAttention", naming=False)
    assert verdict.state_of("MultiHeadAttention") == "failed"


@pytest.mark.parametrize(
    "edit_id", ["mlp-gated", "no-positions", slowly("rms-norm"), slowly("rotary")]
)
def test_the_reference_fails_as_a_variant(tmp_path: Path, edit_id: str) -> None:
    part = variants.find_edit(edit_id).component
    verdict = check_text(tmp_path, reference_text(), part, variant=(edit_id,), naming=False)
    assert verdict.state_of(part) == "failed"


def test_a_missing_edit_is_named(tmp_path: Path) -> None:
    verdict = check_text(
        tmp_path, reference_text(), "TransformerBlock", variant=("block-post-norm",)
    )
    assert verdict.reports["TransformerBlock"].mistakes == ("block-post-norm-left-out",)


def test_a_mistake_in_a_variant_is_named(tmp_path: Path) -> None:
    wrong = edited_text(find("mlp-b-in-unused"), exercises=variant_set(DECODER))
    verdict = check_text(tmp_path, wrong, "MLP", variant=DECODER)
    assert verdict.reports["MLP"].mistakes == ("mlp-b-in-unused",)


def test_a_missing_parameter_of_a_variant_is_reported(tmp_path: Path) -> None:
    verdict = check_text(tmp_path, reference_text(), "MLP", variant=("mlp-gated",), naming=False)
    told = [r.message for r in verdict.results if "names and shapes" in r.check]
    assert "W_gate" in told[0]


@pytest.mark.parametrize("edit", variants.EDITS, ids=lambda edit: edit.id)
def test_an_edit_has_its_declared_parameters(edit: variants.VariantEdit) -> None:
    from gpt2_small.checker.claims.modules.parameter_shapes import other_axes

    settings = SMALL | {"d_head": 8, "d_mlp": 96}
    with other_axes(variant_set((edit.id,)).axes):
        expected = parameters_of("Transformer", settings)
    assert {n: tuple(p.shape) for n, p in model_of(edit.id).named_parameters()} == expected


@pytest.mark.parametrize("edit", variants.EDITS, ids=lambda edit: edit.id)
def test_an_edit_changes_the_logits(edit: variants.VariantEdit) -> None:
    tokens = torch.tensor([[3, 1, 4, 1, 5]])
    right = model_of()
    other = model_of(edit.id)
    other.load_state_dict(right.state_dict(), strict=False)
    assert (other(tokens) - right(tokens)).abs().max() > 1e-4


def test_rotary_scores_depend_only_on_distance() -> None:
    rotated = reference(variant_set(("rotary",))).rotated
    same = torch.randn(1, 1, 1, 8, generator=torch.Generator().manual_seed(0)).expand(1, 9, 1, 8)
    turned = rotated(same.double())[0, :, 0]
    scores = turned @ turned.T
    for distance in range(9):
        along = scores.diagonal(-distance)
        torch.testing.assert_close(along, along[:1].expand_as(along))


def test_sinusoids_are_those_of_the_paper() -> None:
    waves = reference(variant_set(("positional-embedding-sinusoidal",))).sinusoids(6, 8)
    assert waves[5, 2].item() == pytest.approx(
        torch.sin(torch.tensor(5 / 10000 ** (2 / 8))).item(), abs=1e-5
    )
    assert waves[5, 3].item() == pytest.approx(
        torch.cos(torch.tensor(5 / 10000 ** (2 / 8))).item(), abs=1e-5
    )


@pytest.mark.slow
def test_every_edit_with_every_mistake_gives_valid_python_or_is_refused() -> None:
    for edit_id in variants.edits():
        compile(variants.variant_text((edit_id,)), edit_id, "exec")


def test_the_page_creates_the_variant_that_it_checks(tmp_path: Path) -> None:
    made, checked, _layout = re.findall(
        r"^gpt2-small (.*)$", page("variants.md"), flags=re.MULTILINE
    )
    arguments = shlex.split(made)
    arguments[-1] = str(tmp_path / "v.py")
    assert CliRunner().invoke(app, arguments).exit_code == 0
    ids = shlex.split(checked)[-1].split(",")
    assert (tmp_path / "v.py").read_text() == text_of(*ids)
    binding.load(tmp_path / "v.py")


def test_the_page_lists_every_edit() -> None:
    for edit in variants.EDITS:
        assert f"| `{edit.id}` |" in page("variants.md")


# One process for all commands, as in a user's program.
COMMANDS = """
import sys
sys.path.insert(0, sys.argv[1])
from gpt2_small import binding
binding.bind("v.py")
from typer.testing import CliRunner
from gpt2_small.cli import app
from gpt2_small.errors import UserError
for line in sys.stdin.read().splitlines():
    result = CliRunner().invoke(app, line.split(" "))
    if isinstance(result.exception, UserError):
        print(result.exception)
    elif result.exit_code != 0:
        sys.exit(f"{line}: {result.exception!r} {result.output}")
"""

# A run with roles of the bound solution, for chat and the page.
PAGE = """
sys.path[:0] = sys.argv[2:]
from pathlib import Path
from app_pages import page_of, small_run
from gpt2_small.app.models import Models
folder = small_run(binding.bound(), Path("talk"), tokenizer_name="byte-chat", n_ctx=64)
result = CliRunner().invoke(app, ["chat", "talk", "Hi", "--max-new-tokens", "3", "--json", "c"])
if result.exit_code != 0:
    sys.exit(f"chat: {result.exception!r} {result.output}")
ids = list(b"A cat")
with page_of(Models(str(folder))) as (client, _):
    for path, asked in {
        "continue": {"text": "A cat", "max_new_tokens": 3},
        "chat": {"messages": [{"role": "user", "content": "Hi"}], "max_new_tokens": 3},
        "scores": {"ids": ids},
        "look": {"ids": ids},
        "head": {"ids": ids, "layer": 0, "head": 0},
        "lens": {"ids": ids, "start": 0, "stop": 3},
        "ablations": {"ids": ids},
    }.items():
        answer = client.post(f"/api/{path}", json=asked)
        if answer.status_code != 200 or '"error"' in answer.text:
            sys.exit(f"{path}: {answer.status_code} {answer.text}")
"""


def test_a_variant_trains_samples_is_evaluated_chats_and_opens_in_the_page(tmp_path: Path) -> None:
    ids = ("rotary", "no-positions", "rms-norm", "mlp-gated")
    (tmp_path / "v.py").write_text(text_of(*ids))
    (tmp_path / "play.txt").write_text(PLAY)
    preset = ["--preset", "shakespeare-cpu", "--data", "play.txt", "--out", "run"]
    lines = [
        ["train", *preset, *flags(max_steps=2)],
        ["train", "--resume", "--out", "run", "--max-steps", "4"],
        ["sample", "--model", "run", "--prompt", "KING", "--max-new-tokens", "3", "--json", "s"],
        ["evaluate", "run", "--data", "play.txt", "--json", "e"],
        ["export", "run", "exported"],
    ]
    commands = "\n".join(" ".join(map(str, line)) for line in lines)
    program, places = COMMANDS + PAGE, (str(ROOT), *paths_of_tests())
    told = run_python("-c", program, *places, cwd=tmp_path, stdin=commands)
    assert told.returncode == 0, told.stderr
    log = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in log] == [1, 2, 3, 4]
    assert len(json.loads((tmp_path / "s").read_text())["samples"][0]["tokens"]) == 3
    assert 0 < json.loads((tmp_path / "e").read_text())["nats_per_token"] < 10
    assert (tmp_path / "run" / "solution.py").read_text() == text_of(*ids)
    assert json.loads((tmp_path / "c").read_text())["messages"][1]["role"] == "assistant"
    assert "the model is no GPT-2: it has no parameter pos_embed.W_pos" in told.stdout
    assert not (tmp_path / "exported").exists()


def test_an_edit_missing_from_as_is_named(tmp_path: Path) -> None:
    text = text_of("rms-norm", "no-positions")
    verdict = check_text(tmp_path, text, "PositionalEmbedding", variant=("rms-norm",))
    assert verdict.reports["PositionalEmbedding"].mistakes == ("no-positions",)


def test_a_train_step_without_loss_is_right_where_norms_have_no_bias(tmp_path: Path) -> None:
    argument = "    loss: Callable[[nn.Module, Tensor], Tensor] = batch_loss,\n"
    text = text_of("rms-norm").replace(argument, "", 1)
    text = text.replace("= loss(model, batch)", "= batch_loss(model, batch)", 1)
    verdict = check_text(tmp_path, text, "train_step", variant=("rms-norm",))
    assert [result for result in verdict.results if result.status != "passed"] == []


# The default suite tries two edits, of parts with many similar mistakes.
SLOWLY_TOLD = ("embedding-times-root", "rotary")


@pytest.mark.parametrize(
    "edit",
    few((edit for edit in variants.EDITS if edit.id not in SLOWLY_TOLD), variants.EDITS),
    ids=lambda edit: edit.id,
)
def test_a_file_that_should_be_gpt_2_is_recognised_as_the_other_model(
    tmp_path: Path, edit: variants.VariantEdit
) -> None:
    verdict = check_text(tmp_path, text_of(edit.id), edit.component)
    report = verdict.reports[edit.component]
    assert report.mistakes == (edit.same_as or edit.id,)
    assert "This explains every result exactly" in report.naming
