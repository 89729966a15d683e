"""Test demos/generate_demo.py with and without trained weights."""

import importlib.util
import io
import json
import os
import re
import shlex
import sys

import pytest
import torch
from against_reference import edited_reference
from processes import ROOT, run_python
from rich.console import Console
from small_continuations import small_model
from small_gpt2s import characters, saved_run

from gpt2_small import binding
from gpt2_small.errors import UserError
from gpt2_small.generation import LoadedModel
from gpt2_small.tokenizers.registry import ByteTokenizer
from gpt2_small.weights import export_hugging_face

LONG_CONTEXT = {"n_ctx": 64}
PROMPT = "Once"


def load_demo():
    path = ROOT / "demos" / "generate_demo.py"
    spec = importlib.util.spec_from_file_location("generate_demo", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Load the demo in a folder without runs, with an unreachable Hub."""
    monkeypatch.chdir(tmp_path)
    module = load_demo()
    module.asked = []

    def fetch(name, *, answer_seconds):
        module.asked.append((name, answer_seconds))
        raise UserError("the Hub cannot be reached")

    monkeypatch.setattr(module, "fetch", fetch)
    return module


def demo_of(module, prompt=PROMPT, **console):
    console = Console(file=io.StringIO(), width=80, highlight=False, **console)
    return module.Demo(binding.bound(), console, prompt, 0, torch.device("cpu"))


def shown(module, model=None, prompt=PROMPT, **console):
    """Return the demo's output, with shorter texts and fewer draws."""
    module.NEW_TOKENS, module.DRAWS = min(8, module.NEW_TOKENS), min(50, module.DRAWS)
    demo = demo_of(module, prompt, **console)
    module.run_demo(demo, model)
    return demo.console.file.getvalue()


def numbered(text):
    """Return the position of a continuation's number."""
    return re.findall(r"^([1-5]) +Once", text, flags=re.MULTILINE)


def test_without_a_run_the_demo_prints_the_command_that_trains_one_and_shows_random_weights(module):
    text = shown(module)
    assert "No run yet: python demos/train_demo.py makes one" in text
    assert "An untrained small GPT-2 writes nonsense" in text
    assert numbered(text) == ["1", "2", "3", "4", "5"]
    assert text.count("by the model of random weights") == 3


def test_the_sections_are_in_order(module):
    saved_run(module.Path("runs/one"), small_model(**LONG_CONTEXT))
    text = shown(module)
    titles = ["Choosing the next token", "Random weights ─", "Temperature,", "Top-k,", "Top-p,"]
    places = [text.index(title) for title in [*titles, "Trained weights ─"]]
    assert places == sorted(places)
    assert numbered(text) == ["1", "2", "3", "4", "5"] * 2
    assert "\nNext: gpt2-small sample --model runs/one --prompt" in text


def test_the_hub_is_asked_for_gpt2_for_at_most_a_second_and_a_failure_is_one_line(module):
    assert "\nSkipping the real GPT-2: not downloaded, and the Hub" in shown(module)
    ((name, seconds),) = module.asked
    assert name == "gpt2"
    assert seconds <= 1


def test_the_real_gpt2_is_shown_when_the_hub_or_its_cache_has_it(module, monkeypatch):
    folder = export_hugging_face(
        small_model(**LONG_CONTEXT), module.Path("cached"), tokenizer=characters()
    )
    monkeypatch.setattr(module, "fetch", lambda name, answer_seconds: folder)
    assert "\ngpt2:\n1      Once" in shown(module)


def test_the_most_recent_run_is_used(module):
    for name, time in (("later", 2000), ("earlier", 1000)):
        saved_run(module.Path("runs") / name, small_model(**LONG_CONTEXT))
        os.utime(f"runs/{name}/checkpoints/step-3", (time, time))
    module.Path("runs/unfinished").mkdir()
    assert module.newest_run(module.RUNS) == module.Path("runs/later")


def test_an_unusable_run_is_skipped_with_one_line(module):
    saved_run(module.Path("runs/one"), small_model(**LONG_CONTEXT))
    assert "\nWithout runs/one: character ' '" in shown(module, prompt="Once upon")


def test_a_requested_model_is_the_only_one_shown(module):
    saved_run(module.Path("runs/one"), small_model(**LONG_CONTEXT))
    folder = export_hugging_face("runs/one", module.Path("exported"))
    text = shown(module, str(folder))
    assert "exported:" in text
    assert "runs/one" not in text
    assert module.asked == []


@pytest.mark.parametrize(
    ("model", "prompt", "sentence"),
    [
        (None, "A" * 65, "the prompt has 65 tokens, more than the 64 that runs/one, step 3 can"),
        (None, "one two " * 600, "more than the 1,024 that the model of random weights can read"),
        ("runs/one", "!", "character '!'"),
        ("runs/oen", "A", "did you mean runs/one?"),
        ("runs/one", "", "the prompt is empty"),
    ],
)
def test_an_unusable_prompt_or_model_is_refused_in_one_sentence(module, model, prompt, sentence):
    saved_run(module.Path("runs/one"), small_model(**LONG_CONTEXT))
    with pytest.raises(UserError, match=re.escape(sentence)):
        shown(module, model, prompt)


def test_the_suggested_command_can_be_copied_for_any_prompt(module, monkeypatch):
    monkeypatch.setattr(module, "DRAWS", 100)
    monkeypatch.setattr(module, "NEW_TOKENS", 1)
    saved_run(module.Path("runs/one"), small_model(d_vocab=257, **LONG_CONTEXT), ByteTokenizer())
    prompt = "a $HOME isn't\n中" + " and so on" * 4
    text = shown(module, prompt=prompt, model="runs/one")
    command = text.split("\nNext: ")[1].removesuffix("\n")
    words = ["gpt2-small", "sample", "--model", "runs/one", "--prompt", prompt]
    assert shlex.split(command) == words


def test_the_demo_shows_five_continuations_of_32_tokens(module):
    source = LoadedModel("small", small_model(**LONG_CONTEXT), characters())
    texts = demo_of(module).written(source, num_samples=5)
    assert [len(text) for text in texts] == [32] * 5


def test_the_bars_after_a_cut_are_frequencies_of_the_solutions_sample(module):
    logits = torch.tensor([[0.5, 0.25, 0.15, 0.1]]).log()
    shares = module.drawn_shares(binding.bound(), logits, module.DRAWS, seed=0, top_k=2)
    # 300 draws of 2/3: five standard deviations are 0.137.
    assert shares[:2].tolist() == pytest.approx([2 / 3, 1 / 3], abs=0.137)
    assert shares[2:].tolist() == [0, 0]


def test_one_step_shows_twelve_bars_before_and_after_the_cut(module):
    demo, model = demo_of(module), small_model(**LONG_CONTEXT)
    module.show_cut(demo, LoadedModel("small", model, characters()), "k 4", top_k=4)
    rows = re.findall(r'^ (".+?") +(.*)$', demo.console.file.getvalue(), flags=re.MULTILINE)
    assert len(rows) == 12
    best = model(torch.tensor([characters().encode(PROMPT)]))[0, -1].topk(12)
    assert [token for token, _ in rows] == [
        json.dumps(characters().decode([id])) for id in best.indices
    ]
    assert [line.rstrip().endswith(" 0%") for _, line in rows] == [False] * 4 + [True] * 8


def test_bars_are_proportional_to_the_shares(module):
    bars = [module.bar(share, 0.8).plain for share in (0.8, 0.4, 0.1, 0.0)]
    assert bars == ["█" * 20 + " 80%", "█" * 10 + " 40%", "██▌ 10%", "0%"]


def test_the_output_fits_80_columns_and_has_no_colours_outside_a_terminal(module, monkeypatch):
    monkeypatch.setattr(module, "DRAWS", 100)
    monkeypatch.setattr(module, "NEW_TOKENS", 8)
    text = shown(module, prompt="Once 你好 🦜")
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_word_longer_than_a_line_is_not_truncated(module):
    demo = demo_of(module, prompt="One")
    demo.show("1", "ab🦜" * 40)
    shown = demo.console.file.getvalue()
    assert "".join(shown.split()) == "1One" + "ab🦜" * 40


def test_no_color_is_respected_in_a_terminal(module, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    demo = demo_of(module, force_terminal=True)
    demo.console.print(module.bar(0.5, 1.0))
    assert demo.console.file.getvalue() == "█" * 10 + " 50%\n"


def test_the_demo_exits_with_0_also_for_a_learners_file(tmp_path):
    saved_run(tmp_path / "runs/one", small_model(**LONG_CONTEXT))
    first = "        return logits.argmax(dim=-1)\n"
    path = edited_reference(tmp_path, (first, "        return 0 * logits.argmax(dim=-1)\n"))
    words = ("--prompt", PROMPT, "--model", "runs/one", "--solution", path)
    result = run_python(ROOT / "demos/generate_demo.py", *words, cwd=tmp_path, COLUMNS="80")
    assert (result.returncode, result.stderr) == (0, "")
    assert "solution  edited.py (sha256 " in result.stdout
    assert " --solution edited.py" in result.stdout.split("\nNext: ")[1]
    assert f"T 0    Once{'A' * 32}\n" in re.sub(" +\n", "\n", result.stdout)


def test_an_error_is_reported_in_one_sentence_with_exit_code_2(module, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["generate_demo.py", "--model", "nowhere"])
    with pytest.raises(SystemExit) as ended:
        module.run_command(module.app)
    assert ended.value.code == 2
    assert re.fullmatch("error: there is no folder nowhere; .*\n", capsys.readouterr().err)
