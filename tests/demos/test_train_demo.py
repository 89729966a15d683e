"""Test demos/train_demo.py: its screens, run and errors."""

import importlib.util
import io
import json
import shlex
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from forked import the_forks
from processes import ROOT, run_fresh_python, run_python
from rich.console import Console

from gpt2_small.entry_point import run_command
from gpt2_small.runs import load_model, read_log, read_run
from gpt2_small.training.display import samples, text_progress
from gpt2_small.training.loop import Training

DEMO = ROOT / "demos" / "train_demo.py"
SHORT_EXCERPT = 8
# Runs the demo with short samples.
QUICK_DEMO = f"""
import runpy, sys
from gpt2_small.training.display import samples, text_progress
samples.EXCERPT_TOKENS = {SHORT_EXCERPT}
sys.argv[0] = {str(DEMO)!r}
runpy.run_path(sys.argv[0], run_name="__main__")
"""
PLAY = "KING:\nSpeak of the crown.\n\nFOOL:\nThe crown is round, my lord, and so are we.\n\n" * 40


@pytest.fixture(scope="module")
def demo():
    spec = importlib.util.spec_from_file_location("train_demo", DEMO)
    module = importlib.util.module_from_spec(spec)
    sys.modules["train_demo"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["train_demo"]


@pytest.fixture
def run_demo(demo, tmp_path, monkeypatch, capfd):
    """Run the demo in an empty folder; return exit code and output."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(samples, "EXCERPT_TOKENS", SHORT_EXCERPT)
    monkeypatch.setattr(samples, "STORIES_TO_CHOOSE_FROM", 1)
    (tmp_path / "play.txt").write_text(PLAY)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["train_demo.py", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit:
            run_command(demo.app)
        printed = capfd.readouterr()
        return exit.value.code or 0, printed.out, printed.err

    return run


def test_the_demo_trains_on_a_text_and_the_run_can_be_loaded(run_demo):
    code, out, err = run_demo("--data", "play.txt", "--max-steps", 4, "--batch-size", 2)
    assert (code, err) == (0, "")
    run = read_run("runs/play")
    assert run.load_tokenizer().name == "char"
    assert run.latest_checkpoint().step == 4
    assert load_model("runs/play").config.d_vocab == len(set(PLAY))
    assert [record["step"] for record in read_log("runs/play")] == list(range(1, 5))
    assert Path("runs/play/loss.png").read_bytes().startswith(b"\x89PNG")
    for shown in ("before training", "after 1 step", "best bigram", "uniform, ln V", "Next: "):
        assert shown in out
    assert all(len(line) <= 80 for line in out.splitlines())


@pytest.mark.parametrize(
    ("judging", "sentence"),
    [
        (
            1,
            "Train it with: gpt2-small train --out runs/stories --resume",
        ),
        (2, "Interrupted; the run is in runs/stories, trained to step 1."),
    ],
)
def test_an_interrupt_while_stories_are_judged_prints_the_runs_folder(
    run_demo, demo, monkeypatch, judging: int, sentence: str
):
    judged = iter(range(1, 3))

    def judge(*_):
        if next(judged) == judging:
            raise KeyboardInterrupt

    monkeypatch.setattr(text_progress, "judged", judge)
    monkeypatch.setattr(text_progress, "_right_endings", lambda *_: None)
    monkeypatch.setattr(Training, "evaluate", lambda *_: 1.0)
    code, _, err = run_demo("--max-steps", 1, "--batch-size", 1)
    assert code == 130
    assert err.split("\n")[-2].endswith(sentence)


# Requests an interrupt after the first step.
INTERRUPT = """
import os, signal
from gpt2_small.training.loop import Training
advance = Training.advance
def interrupted(training, *given):
    os.kill(os.getpid(), signal.SIGINT)
    return advance(training, *given)
Training.advance = interrupted
"""


def test_after_an_interrupt_of_training_the_demo_ends_without_judging_and_can_be_resumed(tmp_path):
    (tmp_path / "play.txt").write_text(PLAY)
    flags = ["--data", "play.txt", "--max-steps", 4, "--batch-size", 1]
    result = run_python("-c", INTERRUPT + QUICK_DEMO, *map(str, flags), cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    *_, last_line, resume, curve = result.stdout.splitlines()
    assert last_line == "Interrupted after step 1; everything is saved."
    assert resume == "Resume with: gpt2-small train --out runs/play --resume"
    assert curve == "Loss curve: runs/play/loss.png"
    assert (tmp_path / "runs/play/loss.png").read_bytes().startswith(b"\x89PNG")
    command = shlex.split(resume.removeprefix("Resume with: gpt2-small"))
    again = the_forks().run(*command, before=f"import os\nos.chdir({str(tmp_path)!r})\n")
    assert (again.code, again.err) == (0, "")
    assert [record["step"] for record in read_log(tmp_path / "runs/play")] == list(range(1, 5))


def test_after_an_interrupt_no_story_is_judged(run_demo, demo, monkeypatch):
    judged = []
    monkeypatch.setattr(text_progress, "judged", lambda *_: judged.append("stories"))
    monkeypatch.setattr(text_progress, "_right_endings", lambda *_: judged.append("endings"))
    monkeypatch.setattr(demo, "show_training", lambda *_, **__: False)
    monkeypatch.setattr(Training, "evaluate", lambda *_: 1.0)
    code, out, _ = run_demo("--max-steps", 2, "--batch-size", 1)
    assert code == 0
    assert judged == ["stories", "endings"]  # before the training
    assert "Before and after" not in out


def test_after_an_interrupt_no_answer_is_judged(demo, monkeypatch):
    judged = []
    monkeypatch.setattr(demo, "chat_standing", lambda *_: judged.append("answers"))
    monkeypatch.setattr(demo, "show_training", lambda *_, **__: False)
    for name in ("print_plan", "reference_lines", "show_excerpt", "draw"):
        monkeypatch.setattr(demo, name, lambda *_, **__: {})
    recipe = SimpleNamespace(seed=0, max_steps=8)
    run = SimpleNamespace(
        settings=SimpleNamespace(recipe=recipe), folder=Path("runs/chat"), data=None
    )
    console = Console(file=io.StringIO())
    demo.run_chat_demo(run, console, 3)
    assert judged == ["answers"]  # before the training
    assert console.file.getvalue() == "Loss curve: runs/chat/loss.png\n"


def test_the_log_has_the_documented_fields(run_demo):
    run_demo("--data", "play.txt", "--max-steps", 2, "--batch-size", 2)
    first, last = read_log("runs/play")
    always = {"step", "tokens", "loss", "learning_rate", "grad_norm", "tokens_per_second"}
    assert always <= set(first)
    assert "val_loss" in last
    assert (first["tokens"], last["tokens"]) == (2 * 128, 4 * 128)
    config = json.loads(Path("runs/play/config.json").read_text())
    assert config["format"] == "gpt2-small-run/1"
    assert config["model"]["d_model"] == 128


def test_the_same_seed_gives_the_same_weights_and_a_new_folder(run_demo):
    for _ in range(2):
        run_demo("--data", "play.txt", "--max-steps", 1, "--batch-size", 1, "--seed", 5)
    first, second = (load_model(folder).state_dict() for folder in ("runs/play", "runs/play-2"))
    assert all((first[name] == second[name]).all() for name in first)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--max-steps", 0], "--max-steps is 0; give a whole number of at least 1"),
        (["--learning-rate", "nan"], "--learning-rate is nan; give a number"),
        (["--preset", "storys"], "there is no training preset 'storys'; did you mean stories?"),
        (["--device", "cuda:9"], "there is no device 'cuda:9' here; choose from"),
        (["--data", "plai.txt"], "no data set 'plai.txt'; did you mean play.txt?"),
        (["--data", "empty.txt"], "empty.txt is empty"),
        (["--data", "binary.txt"], "binary.txt is not UTF-8 text"),
        (["--data", "short.txt"], "fewer than the 129 of one window"),
        (["--data", "play.txt", "--tokenizer", "bytes"], "did you mean byte?"),
        (["--chat", "--data", "play.txt"], "--chat trains on the dialogues; leave --data out"),
        (["--chat", "--preset", "stories"], "leave --preset out"),
        (["--out", "play.txt"], "play.txt is a file"),
        (["--out", "full"], "full is not empty and holds no run"),
    ],
)
def test_unusable_input_is_reported_in_one_sentence_with_exit_code_2(
    run_demo, tmp_path, arguments, sentence
):
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "binary.txt").write_bytes(b"\x00\x01\x02")
    (tmp_path / "short.txt").write_text("too short for one window")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "precious").write_text("kept")
    code, _, err = run_demo(*arguments)
    assert code == 2
    assert err.startswith("error: ")
    assert sentence in err
    assert err.count("\n") == 1
    assert not (tmp_path / "runs").exists()
    assert (tmp_path / "full" / "precious").read_text() == "kept"


def test_a_finished_run_is_not_overwritten(run_demo):
    flags = ["--data", "play.txt", "--max-steps", 1, "--batch-size", 2, "--out", "mine"]
    run_demo(*flags)
    log = Path("mine/log.jsonl").read_bytes()
    code, _, err = run_demo(*flags)
    assert code == 2
    assert "mine holds a run with checkpoints up to step 1" in err
    assert Path("mine/log.jsonl").read_bytes() == log


def test_a_learners_file_trains_with_its_own_code(tmp_path):
    (tmp_path / "play.txt").write_text(PLAY)
    (tmp_path / "my_gpt2.py").write_text((ROOT / "solution.py").read_text())
    flags = ["--data", "play.txt", "--max-steps", 1, "--batch-size", 1]
    command = ["-c", QUICK_DEMO, *map(str, flags), "--solution", "my_gpt2.py"]
    result = run_python(*command, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "my_gpt2.py (sha256 " in result.stdout
    assert result.stdout.rstrip().endswith("--solution my_gpt2.py")


def test_a_broken_learners_file_is_reported_in_one_sentence_with_the_line(tmp_path):
    (tmp_path / "my_gpt2.py").write_text("x = 1\ndef broken(:\n")
    result = run_python(DEMO, "--solution", "my_gpt2.py", cwd=tmp_path)
    assert result.returncode == 2
    assert "my_gpt2.py, line 2" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_under_torchrun_only_one_process_prints_and_saves_the_run(tmp_path):
    (tmp_path / "play.txt").write_text(PLAY)
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    flags = ["--data", "play.txt", "--max-steps", "2", "--batch-size", "2", "--device", "cpu"]
    result = run_fresh_python(*torchrun, DEMO, *flags, cwd=tmp_path, OMP_NUM_THREADS="1")
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("Before and after") == 1
    assert [record["step"] for record in read_log(tmp_path / "runs" / "play")] == [1, 2]
