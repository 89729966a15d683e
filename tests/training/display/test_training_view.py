"""Test the screen of a run: the live line, its curve, the share of a device's peak."""

import io
import math
from dataclasses import replace

import pytest
import torch
from rich.console import Console

from gpt2_small.errors import UserError
from gpt2_small.planning.flops import training_flops
from gpt2_small.training.display.console import RunView, sparkline
from gpt2_small.training.display.trackers import Trackers, open_trackers
from gpt2_small.training.distributed import Processes
from gpt2_small.training.loop import peak_share
from gpt2_small.training.step_record import RunRecord


class Standing:
    """A fake training with the attributes that its view reads."""

    def __init__(self, solution, device="cpu", step=0, world_size=1):
        self.config = solution.TransformerConfig()
        self.processes = Processes(0, world_size, torch.device(device))
        self.recipe = type("Recipe", (), {"max_steps": 20, "dtype": "bfloat16"})
        self.step = step
        self.peak_share = None

    def share(self):
        return peak_share(self.config, self.recipe.dtype, self.processes)


def record(step, loss=2.0, val_loss=None):
    return RunRecord(
        step=step,
        tokens=100 * step,
        loss=loss,
        learning_rate=1e-3,
        grad_norm=1.0,
        tokens_per_second=1000.0,
        val_loss=val_loss,
    )


def test_a_falling_curve_goes_from_the_highest_bar_to_the_lowest():
    assert sparkline([8, 7, 6, 5, 4, 3, 2, 1], 8) == "█▇▆▅▄▃▂▁"


def test_a_curve_of_many_values_has_the_requested_width():
    assert sparkline([1.0] * 50 + [3.0] * 50, 4) == "▁▁██"


def test_a_curve_of_equal_values_is_flat_and_one_without_values_is_empty():
    assert sparkline([2.0, 2.0], 5) == "▁▁"
    assert sparkline([], 5) == ""


def test_a_curve_with_a_value_that_is_not_finite_is_empty():
    assert sparkline([1.0, math.nan], 5) == ""


def test_without_a_terminal_ten_lines_show_step_loss_and_speed(solution):
    console = Console(file=io.StringIO(), width=80)
    shown = RunView(console, Standing(solution))
    with shown.live():
        for step in range(1, 21):
            shown.show(record(step))
    lines = console.file.getvalue().splitlines()
    assert len(lines) == 10
    assert lines[-1].startswith("step 20/20  loss 2.000  1,000 tokens/s  ")


def test_a_resumed_runs_progress_begins_at_its_step(solution):
    console = Console(file=io.StringIO(), width=80, force_terminal=True)
    shown = RunView(console, Standing(solution, step=15))
    with shown.live():
        shown.show(record(16))
    assert "16/20" in console.file.getvalue()
    assert "1/20" not in console.file.getvalue()


def test_the_live_line_fits_80_columns(solution):
    console = Console(file=io.StringIO(), width=80, force_terminal=True)
    shown = RunView(console, Standing(solution))
    with shown.live():
        for step in range(1, 21):
            shown.show(record(step, loss=20 / step))
    last = console.file.getvalue().split("\r")[-1]
    assert "tokens/s" in last
    assert "█" in last


def test_the_share_of_the_peak_is_over_all_devices(solution, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H200")
    standing = Standing(solution, device="cuda", world_size=4)
    expected = training_flops(standing.config) / (4 * 989.4e12)
    assert standing.share() == pytest.approx(expected)


def test_without_a_known_peak_no_share_is_shown(solution, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Some GPU")
    assert Standing(solution, device="cuda").share() is None
    assert Standing(solution).share() is None


def test_the_share_of_the_peak_is_on_the_screen(solution):
    console, standing = Console(file=io.StringIO(), width=80), Standing(solution)
    standing.peak_share = 0.0004
    shown = RunView(console, standing)
    for step in (1, 2):
        shown.show(record(step))
    assert "1,000 tokens/s, 40% of peak" in console.file.getvalue()


class Told:
    """A tracker that records its calls."""

    def __init__(self):
        self.said = []

    def add_scalar(self, name, value, step):
        self.said.append((name, float(value), step))

    def add_text(self, name, value, step):
        self.said.append((name, value, step))

    def log(self, numbers, step):
        self.said.append((numbers, step))

    def close(self):
        self.said.append("closed")

    finish = close


def test_trackers_get_every_number_of_a_step_and_are_closed():
    tensorboard, wandb = Told(), Told()
    trackers = Trackers(tensorboard, wandb)
    trackers.show(record(3, val_loss=1.5))
    trackers.close()
    assert ("loss", 2.0, 3) in tensorboard.said
    assert ("val_loss", 1.5, 3) in tensorboard.said
    ((numbers, step), end) = wandb.said
    assert (numbers["val_loss"], numbers["tokens"], step, end) == (1.5, 300, 3, "closed")


def test_tensorboard_receives_the_reason_of_a_skipped_update_as_text():
    tensorboard = Told()
    Trackers(tensorboard).show(replace(record(3), skipped="overflow"))
    assert ("skipped", "overflow", 3) in tensorboard.said


@pytest.mark.parametrize(
    ("module", "asked", "sentence"),
    [
        (
            "torch.utils.tensorboard",
            {"tensorboard": True, "wandb": None},
            "TensorBoard is not installed; run `pip install tensorboard`",
        ),
        (
            "wandb",
            {"tensorboard": False, "wandb": "gpt2"},
            "Weights & Biases is not installed; run `pip install wandb`",
        ),
    ],
)
def test_a_tracker_that_is_not_installed_is_reported_by_name(
    tmp_path, monkeypatch, module, asked, sentence
):
    monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(UserError, match=sentence), open_trackers(tmp_path, {}, **asked):
        pass


def test_without_trackers_nothing_is_written(tmp_path):
    with open_trackers(tmp_path, {}, tensorboard=False, wandb=None) as trackers:
        trackers.show(record(1))
    assert not list(tmp_path.iterdir())


def test_a_resumed_run_purges_tensorboards_later_steps(tmp_path, monkeypatch):
    seen = {}

    class Writer(Told):
        def __init__(self, folder, purge_step):
            super().__init__()
            seen.update(folder=folder, purge_step=purge_step)

    module = type("tensorboard", (), {"SummaryWriter": Writer})
    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard", module)
    with open_trackers(tmp_path, {}, tensorboard=True, wandb=None, step=100):
        pass
    assert seen == {"folder": str(tmp_path / "tensorboard"), "purge_step": 101}


class Wandb:
    """A fake of the part of Weights & Biases that is used."""

    class Error(Exception):
        pass

    def __init__(self, key):
        self.api = type("Api", (), {"api_key": key})
        self.begun = []

    def init(self, **settings):
        self.begun.append(settings)
        return Told()


def test_weights_and_biases_without_a_key_is_reported_in_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "wandb", Wandb(None))
    monkeypatch.delenv("WANDB_MODE", raising=False)
    wanted = open_trackers(tmp_path, {}, tensorboard=False, wandb="p", run_id="one")
    with pytest.raises(UserError, match="has no API key; run `wandb login`"), wanted:
        pass


def test_weights_and_biases_resumes_the_run_of_this_id_and_no_other(tmp_path, monkeypatch):
    wandb = Wandb("a key")
    monkeypatch.setitem(__import__("sys").modules, "wandb", wandb)
    with open_trackers(tmp_path, {}, tensorboard=False, wandb="p", run_id="one"):
        pass
    assert (wandb.begun[0]["id"], wandb.begun[0]["resume"]) == ("one", "allow")


def test_two_runs_in_one_place_have_two_ids(solution, tmp_path):
    import shutil

    from small_runs import train

    from gpt2_small.runs import read_run

    ids = set()
    for _ in range(2):
        train(solution, tmp_path / "run", last=1)
        train(solution, tmp_path / "run", resume=True, last=2)
        ids.add(read_run(tmp_path / "run").config.id)
        shutil.rmtree(tmp_path / "run")
    assert len(ids) == 2
