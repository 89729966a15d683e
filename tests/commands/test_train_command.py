"""Test `gpt2-small train`: new, resumed, initialised and refused runs."""

import io
import json
import shutil
import sys
from pathlib import Path

import pytest
from command_line import exit_code_of

from gpt2_small.runs import load_model, read_log, read_run

PLAY = "KING:\nSpeak of the crown.\n\nFOOL:\nThe crown is round, my lord, and so are we.\n\n" * 40
SMALL = [
    "--preset",
    "shakespeare-cpu",
    "--set",
    "d_model=16",
    "--set",
    "n_layers=1",
    "--set",
    "n_ctx=16",
]
SHORT = [*SMALL, "--batch-size", "4", "--max-steps", "6", "--set", "checkpoint_every=2"]


def run_in(folder: Path, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """Run `gpt2-small` in a folder with a play; return its exit code."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "80")
    (folder / "play.txt").write_text(PLAY)
    return exit_code_of(monkeypatch, *arguments)


@pytest.fixture
def command(tmp_path, monkeypatch, capfd):
    """Return a function that runs `gpt2-small` beside a play, and returns exit code and output."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        code = run_in(tmp_path, monkeypatch, *arguments)
        printed = capfd.readouterr()
        return code, printed.out, printed.err

    return run


@pytest.fixture(scope="module")
def trained_once(tmp_path_factory) -> Path:
    """Train a run of six steps on the play, which tests copy."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        arguments = ("train", *SHORT, "--data", "play.txt", "--out", "run")
        assert run_in(folder, patch, *arguments) == 0
    return folder / "run"


@pytest.fixture
def trained(command, trained_once) -> Path:
    """Copy the run to the command's folder."""
    shutil.copytree(trained_once, "run")
    return Path("run")


def test_a_run_has_its_log_its_checkpoints_and_its_curve(trained):
    assert [record["step"] for record in read_log(trained)] == list(range(1, 7))
    assert [checkpoint.step for checkpoint in read_run(trained).checkpoints] == [4, 6]
    assert (trained / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert load_model(trained).config.d_model == 16


def test_text_that_the_terminal_cannot_encode_is_shown_escaped(command, monkeypatch):
    Path("poem.txt").write_text("春眠不觉晓，处处闻啼鸟。\n" * 100, encoding="utf-8")
    for end in (["--data", "poem.txt", "--set", "evaluate_every=1"], ["--resume"]):
        screen = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(screen, encoding="cp1252"))
        steps = ["--max-steps", "4"] if "--resume" in end else [*SHORT, "--max-steps", "2"]
        code, _, err = command("train", "--out", "run", *steps, *end)
        sys.stdout.flush()
        assert (code, err) == (0, "")
        assert rb"\u" in screen.getvalue()


def test_the_config_contains_the_runs_settings(trained):
    config = json.loads((trained / "config.json").read_text())
    assert config["format"] == "gpt2-small-run/1"
    assert config["tokenizer"] == "char"
    assert (config["run"]["data"], config["run"]["max_steps"]) == ("play.txt", 6)
    assert config["run"]["learning_rate"] == 5e-3


def test_a_trained_run_writes_text(trained, command):
    code, out, _ = command("sample", "--model", trained, "--prompt", "KING", "--max-new-tokens", 5)
    assert code == 0
    assert out.startswith("KING")


def test_the_plan_and_every_evaluation_are_on_the_screen(command):
    _, out, _ = command("train", *SHORT, "--data", "play.txt", "--out", "run")
    assert "6 steps of 4 windows: 384 tokens, seed 0" in out
    assert "step 6: held-out loss " in out
    assert all(len(line) <= 80 for line in out.splitlines())


def test_a_run_can_be_extended(trained, command):
    code, out, _ = command("train", "--out", "run", "--resume", "--max-steps", 8)
    assert code == 0
    assert "resuming from step 6" in out
    assert [record["step"] for record in read_log(trained)] == list(range(1, 9))


def test_resuming_a_finished_run_does_not_change_it(trained, command):
    weights = (trained / "checkpoints/step-6/model.safetensors").read_bytes()
    code, out, _ = command("train", "--out", "run", "--resume")
    assert (code, "Trained 0 steps" in out) == (0, True)
    assert (trained / "checkpoints/step-6/model.safetensors").read_bytes() == weights


def test_resume_starts_a_run_if_there_is_none(command):
    code, _, _ = command("train", *SHORT, "--data", "play.txt", "--out", "run", "--resume")
    assert code == 0
    assert read_run("run").latest_checkpoint().step == 6


def test_a_run_initialised_from_another_begins_with_its_loss(trained, command):
    before = read_log(trained)[-1]["val_loss"]
    flags = ["--set", "learning_rate=1e-9", "--max-steps", "1", "--set", "micro_batch_size=32"]
    code, out, err = command(
        "train", "--preset", "finetune", "--init-from", "run", "--data", "play.txt",
        "--out", "tuned", *flags,
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert "begins as   run" in out
    assert read_log("tuned")[-1]["val_loss"] == pytest.approx(before, abs=1e-4)


def test_a_preset_of_conversations_refuses_other_data(command):
    code, _, err = command("train", "--preset", "chat-stories", "--data", "play.txt", "--out", "x")
    assert code == 2
    assert "--preset chat-stories is for conversations, and play.txt holds none" in err


def test_initial_weights_of_another_shape_are_refused(trained, command):
    flags = ["--preset", "finetune", "--init-from", "run", "--data", "play.txt", "--out", "tuned"]
    code, _, err = command("train", *flags, "--set", "d_model=32")
    assert code == 2
    assert "d_model is 32, but the weights of run have 16; leave d_model out" in err


def test_a_prepared_text_can_be_trained_on(command):
    command("prepare", "play.txt", "--out", "shards", "--tokenizer", "byte")
    code, _, err = command("train", *SHORT, "--data", "shards", "--out", "run")
    assert (code, err) == (0, "")
    assert read_run("run").load_tokenizer().name == "byte"


def test_a_learners_file_can_be_trained_in_bfloat16(command, solution):
    Path("my_gpt2.py").write_text(Path(solution.__file__).read_text())
    flags = [*SHORT, "--data", "play.txt", "--out", "run", "--dtype", "bfloat16"]
    code, out, err = command("train", *flags, "--max-steps", 2)
    assert (code, err) == (0, "")
    assert "bfloat16" in out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--preset", "storys"], "there is no training preset 'storys'; did you mean stories?"),
        ([], "give --preset, or --resume and the --out of an existing run"),
        (["--resume"], "there is no run run; check --out, or start one with --preset"),
        (["--preset", "shakespeare-cpu"], "give --data: a text file, a folder that"),
        ([*SMALL, "--data", "plai.txt"], "no data set 'plai.txt'; did you mean play.txt?"),
        ([*SMALL, "--data", "play.txt", "--learning-rate", "nan"], "--learning-rate is nan"),
        ([*SMALL, "--data", "play.txt", "--learning-rate", "-1"], "--learning-rate is -1.0"),
        ([*SMALL, "--data", "play.txt", "--set", "n_layer=2"], "did you mean n_layers?"),
        ([*SMALL, "--data", "play.txt", "--set", "n_heads=3"], "n_heads * d_head is"),
        ([*SMALL, "--data", "play.txt", "--set", "n_ctx=9999"], "fewer than the 10000 of one"),
        ([*SMALL, "--data", "play.txt", "--micro-batch-size", "5"], "does not divide the 12"),
        ([*SMALL, "--data", "play.txt", "--device", "cuda:9"], "there is no device 'cuda:9'"),
        ([*SMALL, "--data", "play.txt", "--out", "play.txt"], "play.txt is a file"),
        ([*SMALL, "--data", "play.txt", "--init-from", "gpt3"], "there is no folder gpt3"),
        ([*SMALL, "--data", "play.txt", "--lerning-rate", "1"], "--learning-rate"),
    ],
)
def test_unusable_input_is_reported_in_one_sentence_with_exit_code_2(command, arguments, sentence):
    code, _, err = command("train", "--out", "run", *arguments)
    assert code == 2
    assert sentence in err
    assert "Traceback" not in err
    assert not Path("run").exists()
    assert Path("play.txt").read_text() == PLAY


def test_a_new_run_does_not_replace_another(trained, command):
    log = (trained / "log.jsonl").read_bytes()
    code, _, err = command("train", *SHORT, "--data", "play.txt", "--out", "run")
    assert code == 2
    assert "run holds a run with checkpoints up to step 6; resume it with `gpt2-small" in err
    assert (trained / "log.jsonl").read_bytes() == log


def test_a_run_is_not_resumed_with_another_rate_or_other_data(trained, command):
    code, _, err = command("train", "--out", "run", "--resume", "--learning-rate", "0.1")
    assert (code, "started with learning_rate = 0.005, not 0.1" in err) == (2, True)
    Path("other.txt").write_text(PLAY.replace("crown", "thorn"))
    code, _, err = command("train", "--out", "run", "--resume", "--data", "other.txt")
    assert (code, "other.txt is not the data that run was started with" in err) == (2, True)


def test_an_unusable_path_is_reported_in_one_sentence(command):
    Path("loop").symlink_to("loop")
    flags = [*SHORT, "--data", "play.txt"]
    for words in (
        ["--out", "run", "--solution", "loop"],
        ["--out", "x" * 300],
        ["--out", "x" * 300, "--resume"],
    ):
        code, _, err = command("train", *flags, *words)
        assert (code, err.startswith("error: "), "Traceback" in err) == (2, True, False), err


def test_the_printed_command_of_a_folder_with_markup_in_its_name_works(command):
    code, out, err = command("train", *SHORT, "--data", "play.txt", "--out", "m[/b] [exp1]")
    assert (code, err) == (0, "")
    assert "gpt2-small sample --model 'm[/b] [exp1]' --prompt TEXT" in out


def test_a_profile_of_the_shortest_run_is_written(command):
    flags = [*SHORT, "--data", "play.txt", "--out", "run", "--profile"]
    code, _, err = command("train", *flags, "--max-steps", "8")
    assert code == 0, err
    [trace] = Path("run/profile").glob("*.json")
    assert "traceEvents" in json.loads(trace.read_text())
