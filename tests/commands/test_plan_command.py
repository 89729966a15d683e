"""Test gpt2-small plan: its output, files and errors, and docs/planning.md."""

import json
import re
import shlex

import pytest
from command_line import exit_code_of
from processes import ROOT

from gpt2_small import preset
from gpt2_small.commands.screens.plan_figures import duration, scaled
from gpt2_small.commands.training.plan import amount
from gpt2_small.data.prepare_options import in_bytes
from gpt2_small.errors import UserError
from gpt2_small.model.presets import PRESETS
from gpt2_small.planning import planned_run
from gpt2_small.planning.device_peaks import CPU, DEVICES
from gpt2_small.planning.planned_run import PlannedRun
from gpt2_small.planning.planner import Plan
from gpt2_small.training.recipes.training_presets import PRESETS as RUNS

PAGE = (ROOT / "docs/planning.md").read_text()
COMMANDS = [line.strip() for line in PAGE.splitlines() if line.startswith("    gpt2-small plan")]

EARLIER_PLAN = '{"format": "gpt2-small-plan/1"}'


@pytest.fixture
def plan(monkeypatch, capsys):
    """Return a function that runs the command, and returns exit code, output and errors."""
    monkeypatch.setenv("COLUMNS", "80")

    def command(*arguments):
        capsys.readouterr()
        return exit_code_of(monkeypatch, "plan", *arguments), *capsys.readouterr()

    return command


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", ["gpt2", "gpt2-xl", "stories"])
def test_a_plan_fits_a_screen_of_80_columns(plan, name, device):
    code, screen, beside = plan("--preset", name, "--device", device, "--gpus", 4, "--nodes", 2)
    assert beside == ""
    lines = screen.splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 80
    assert code == (1 if "Does not fit" in screen else 0)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_can_be_planned_by_its_name_alone(plan, name):
    code, screen, _ = plan("--preset", name)
    assert code == 0
    assert screen.startswith(f"{name} on 1 x h200, bfloat16\n")


@pytest.mark.parametrize("name", [name for name in RUNS if name not in PRESETS])
def test_every_preset_of_train_is_planned_with_its_own_batch_length_and_type(plan, tmp_path, name):
    code, _, beside = plan("--preset", name, "--json", tmp_path / "plan.json")
    assert (code, beside) == (0, "")
    written, recipe = json.loads((tmp_path / "plan.json").read_text()), RUNS[name].recipe
    assert written["dtype"] == recipe.dtype
    assert written["steps"] == recipe.max_steps
    assert written["disk"]["total"] == (recipe.keep + 2) * 12 * written["parameters"]


def test_a_batch_that_does_not_fit_a_gpu_is_divided_into_micro_batches(plan, tmp_path):
    plan("--preset", "gpt2-fineweb", "--device", "rtx-4090", "--json", tmp_path / "plan.json")
    written = json.loads((tmp_path / "plan.json").read_text())
    assert written["fits"]
    assert written["batch_tokens"] == 2**19
    assert written["micro_batch"] == 32 < written["largest_micro_batch"] < 64


def test_every_flag_reaches_the_plan(plan, tmp_path):
    path = tmp_path / "plan.json"
    flags = {
        "--preset": "gpt2-medium",
        "--device": "a100",
        "--gpus": 4,
        "--nodes": 2,
        "--tokens": "3B",
        "--batch-tokens": 2**18,
        "--micro-batch": 2,
        "--dtype": "float32",
        "--share-of-peak": 0.25,
        "--link": 100,
        "--peak-tflops": 200,
        "--memory-gb": 64,
    }
    run = PlannedRun(
        config=preset("gpt2-medium"),
        device=DEVICES["a100"],
        gpus=4,
        nodes=2,
        tokens=3 * 10**9,
        batch_tokens=2**18,
        micro_batch=2,
        dtype="float32",
        share_of_peak=0.25,
        link_gbits=100.0,
        peak_tflops=200.0,
        memory_gb=64.0,
    )
    code, _, beside = plan(*(word for pair in flags.items() for word in pair), "--json", path)
    assert (code, beside) == (0, "")
    written, wanted = json.loads(path.read_text()), Plan(run)
    assert written["format"] == "gpt2-small-plan/1"
    assert written["memory"]["total"] == wanted.memory.total
    assert written["seconds"] == wanted.steps * wanted.step.seconds
    assert written["gpu_hours"] == pytest.approx(8 * written["seconds"] / 3600)
    assert written["largest_micro_batch"] == wanted.largest_micro_batch
    assert (written["micro_batch"], written["micro_steps"]) == (2, 16)
    assert written["pays_up_to"] == wanted.pays_up_to
    assert [row["gpus"] for row in written["scaling"]] == [row.gpus for row in wanted.scaling]


def test_a_run_that_does_not_fit_is_planned_with_exit_code_1(plan, tmp_path):
    path = tmp_path / "plan.json"
    code, screen, _ = plan("--preset", "gpt2-xl", "--device", "t4", "--json", path)
    assert code == 1
    assert "Does not fit into 14.4 GB: the 16 GB less 10%; too large." in screen
    assert json.loads(path.read_text())["fits"] is False
    code, screen, _ = plan("--device", "t4", "--micro-batch", 64)
    assert code == 1
    assert "give fewer windows to --micro-batch" in " ".join(screen.split())


def test_without_a_peak_the_plan_says_that_the_time_is_unknown(plan):
    code, screen, _ = plan("--preset", "stories", "--device", "cpu", "--gpus", 2)
    words = " ".join(screen.split())
    assert code == 0
    assert "time left out: no data sheet gives the peak of cpu in bfloat16; give --peak-" in words
    assert "efficiency" not in screen
    _, screen, _ = plan("--preset", "stories", "--device", "t4")
    assert "give --dtype float16 or --dtype float32 or --peak-tflops" in " ".join(screen.split())


def test_with_a_given_peak_the_time_is_estimated(plan):
    _, screen, _ = plan("--preset", "stories", "--device", "cpu", "--peak-tflops", 0.2)
    assert "CPU-hours" not in screen
    assert "process-hours, at 40% of 0.2 TFLOP/s\n" in re.sub(" +\n", "\n", screen)


def test_without_a_known_memory_the_flag_for_it_is_suggested(plan, monkeypatch):
    monkeypatch.setattr(planned_run, "memory_here", lambda: None)
    code, screen, _ = plan("--preset", "stories", "--device", "cpu")
    assert code == 0
    assert "give --memory-gb" in screen


def test_the_screen_states_the_number_of_gpus_up_to_which_more_pay_off(plan):
    _, screen, _ = plan("--gpus", 8)
    assert "pays up to 64 GPUs: beyond, each waits longer" in " ".join(screen.split())
    _, screen, _ = plan("--gpus", 8, "--link", 100_000)
    assert "pays up to 512 GPUs, where each has one window" in " ".join(screen.split())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--preset", "gpt2-medum"], "there is no preset 'gpt2-medum'; did you mean gpt2-medium?"),
        (["--device", "h20"], "there is no data sheet for a device 'h20' here; did you mean h200?"),
        (["--gpus", "0"], "--gpus is 0; give a whole number of at least 1"),
        (["--tokens", "0"], "--tokens is 0; give a whole number of at least 1"),
        (["--batch-tokens", "0"], "--batch-tokens is 0; give a whole number of at least 1"),
        (["--tokens", "-3B"], "--tokens is -3000000000; give a whole number of at least 1"),
        (
            ["--tokens", "many"],
            "--tokens is 'many'; give a number of tokens, such as 524288, 300M or 10B",
        ),
        (
            ["--batch-tokens", "0.5M", "--gpus", "8"],
            "--batch-tokens is 500000, which cannot be shared equally by 8 processes in windows "
            "of 1024 tokens; give 499712 or 507904",
        ),
        (["--json", "/nowhere/plan.json"], "there is no folder /nowhere for the report plan.json"),
    ],
)
def test_an_error_is_reported_in_one_sentence_and_nothing_is_written(
    plan, tmp_path, arguments, sentence
):
    path = tmp_path / "plan.json"
    path.write_text(EARLIER_PLAN)
    assert plan("--json", path, *arguments) == (2, "", f"error: {sentence}\n")
    assert path.read_text() == EARLIER_PLAN


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("524288", 524_288),
        ("524,288", 524_288),
        ("524_288", 524_288),
        ("0.5M", 500_000),
        ("0.3M", 300_000),
        ("10B", 10**10),
        ("10b", 10**10),
        ("2.5K", 2500),
        ("1e10", 10**10),
        ("1T", 10**12),
        ("-5", -5),
    ],
)
def test_amounts_may_have_separators_suffixes_and_exponents(text, number):
    assert amount("--tokens", text) == number


@pytest.mark.parametrize(
    "text", ["", "M", "1.5", "10X", "nan", "inf", "1e99", "1e400", "1e-3", "."]
)
def test_an_invalid_amount_is_refused(text):
    with pytest.raises(UserError, match="give a number of tokens"):
        amount("--tokens", text)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (scaled(999), "999"),
        (scaled(999_600), "1M"),
        (scaled(2_488_796_160), "2.49B"),
        (in_bytes(0), "0 bytes"),
        (in_bytes(141e9), "141 GB"),
        (duration(0.0256), "0.0256 seconds"),
        (duration(90), "1.5 minutes"),
        (duration(86400), "24 hours"),
        (duration(1e7), "116 days"),
    ],
)
def test_figures_have_three_digits_and_a_unit(written, meant):
    assert written == meant


def test_the_screen_on_the_page_equals_the_commands_output(plan):
    _, screen, _ = plan(*shlex.split(COMMANDS[0])[2:])
    shown = PAGE.split("without a GPU:\n\n")[1].split("\n\nThe exit code")[0]
    printed = "\n".join(f"    {line.rstrip()}".rstrip() for line in screen.splitlines())
    assert shown == printed


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_on_the_page_run(plan, command):
    code, _, beside = plan(*shlex.split(command)[2:])
    assert (code, beside) == (0, "")


def test_the_page_lists_the_devices_of_the_table():
    rows = re.findall(r"^\| `([\w-]+)` \|(.*)\|$", PAGE, flags=re.MULTILINE)
    assert [name for name, _ in rows] == [name for name in DEVICES if name != CPU.name]
    for name, row in rows:
        device = DEVICES[name]
        peaks = [device.peaks.get(dtype) for dtype in ("bfloat16", "float32")]
        assert [cell.strip() for cell in row.split("|")] == [
            *(f"{peak / 1e12:g}" if peak else "" for peak in peaks),
            f"{device.memory / 1e9:g}",
            f"{device.memory_rate / 1e9:g}",
            f"{device.link}, {device.link_rate / 1e9:g}",
            device.source,
        ]
