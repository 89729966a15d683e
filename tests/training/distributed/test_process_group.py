"""Test the process group's errors and refusals, without other processes."""

import socket
from datetime import timedelta

import pytest
import torch
import torch.distributed as dist
import typer

from gpt2_small import entry_point
from gpt2_small.entry_point import run_command
from gpt2_small.errors import MachineError, ProcessLost
from gpt2_small.training.distributed import collectives, joined_processes
from gpt2_small.training.distributed.process_group import losses_as_sentences, this_machine, timeout

HERE = socket.gethostname()

# Messages of torch 2.13's gloo and of a store.
LOSSES = [
    (
        "[/__w/pytorch/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:553] Connection closed "
        "by peer [10.77.0.2]:59530. This is typically caused by a remote worker crashing. Check "
        "the logs of the remote worker before reporting an error. GLHF! 🏖️",
        "another process was lost (Connection closed by peer [10.77.0.2]:59530); ",
    ),
    (
        "[/pytorch/third_party/gloo/gloo/transport/tcp/unbound_buffer.cc:81] Timed out waiting "
        "1800000ms for recv operation to complete",
        "another process did not answer for 600 seconds (GPT2_SMALL_TIMEOUT); ",
    ),
    (
        dist.DistStoreError("Broken pipe\nException raised from"),
        "another process was lost (Broken ",
    ),
    (dist.DistBackendError("NCCL error\nat"), "another process was lost (NCCL error); "),
]


@pytest.mark.parametrize(("error", "beginning"), LOSSES)
def test_the_loss_of_another_process_is_reported_without_advice_for_programmers(error, beginning):
    with pytest.raises(ProcessLost) as lost, losses_as_sentences():
        raise error if isinstance(error, RuntimeError) else RuntimeError(error)
    assert str(lost.value).startswith(beginning)
    assert "GLHF" not in str(lost.value)
    assert "\n" not in str(lost.value)


def test_another_error_is_not_reworded():
    with pytest.raises(RuntimeError, match=r"^shapes do not match$"), losses_as_sentences():
        raise RuntimeError("shapes do not match")


def test_a_process_waits_ten_minutes_or_the_given_time(monkeypatch):
    assert timeout() == timedelta(minutes=10)
    monkeypatch.setenv("GPT2_SMALL_TIMEOUT", "90.5")
    assert timeout() == timedelta(seconds=90.5)


@pytest.mark.parametrize("given", ["soon", "", "0", "-5", "nan", "inf", "1e400"])
def test_an_invalid_time_to_wait_is_refused(given, monkeypatch):
    monkeypatch.setenv("GPT2_SMALL_TIMEOUT", given)
    with pytest.raises(MachineError, match=r"GPT2_SMALL_TIMEOUT is .*; give a number of seconds"):
        timeout()


def test_with_several_machines_an_error_names_the_machine(monkeypatch):
    assert this_machine() == ""
    monkeypatch.setenv("GROUP_WORLD_SIZE", "1")
    assert this_machine() == ""
    monkeypatch.setenv("GROUP_WORLD_SIZE", "3")
    assert this_machine() == f"{HERE}: "


def test_more_processes_than_gpus_are_refused_with_both_numbers(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "test")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    sentence = "torchrun started 4 processes here, but there are 2 GPUs; give --nproc-per-node 2"
    with pytest.raises(MachineError, match=sentence), joined_processes("cuda"):
        pass


@pytest.mark.parametrize(
    ("device", "sentence"),
    [
        ("mps", "several processes cannot train on mps; give --device cpu, or leave torchrun out"),
        ("cuda:1", "--device is cuda:1, but each of the 2 processes here needs its own GPU; give"),
    ],
)
def test_a_device_that_several_processes_cannot_share_is_refused(device, sentence, monkeypatch):
    for name, value in (
        ("TORCHELASTIC_RUN_ID", "test"),
        ("LOCAL_WORLD_SIZE", "2"),
        ("WORLD_SIZE", "2"),
    ):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(collectives, "find_device", torch.device)
    with pytest.raises(MachineError, match=sentence), joined_processes(device):
        pass


@pytest.mark.parametrize(("local_rank", "said"), [("0", "error: gone\n"), ("1", "")])
@pytest.mark.parametrize(("error", "code"), [(ProcessLost, 1), (MachineError, 2)])
def test_the_first_process_of_each_machine_prints_errors(
    local_rank, said, error, code, capsys, monkeypatch
):
    monkeypatch.setenv("RANK", "5")
    monkeypatch.setenv("LOCAL_RANK", local_rank)
    monkeypatch.setattr("sys.argv", ["command"])
    monkeypatch.setattr(entry_point, "SECONDS_TO_PRINT", 0)

    def fail() -> None:
        raise error("gone")

    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(fail)
    with pytest.raises(SystemExit) as ended:
        run_command(app)
    assert (ended.value.code, capsys.readouterr().err) == (code, said)
