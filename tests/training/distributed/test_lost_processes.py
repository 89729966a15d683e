"""Test lost and differing processes: an error, an exit code, and no lost work.

The processes get torchrun's environment variables without torchrun, so that all output is theirs.
"""

import shutil
import signal
import socket
from datetime import timedelta
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import typer
from forked import Fork, the_forks, wait_until
from injected_programs import block_before_step
from small_runs import PLAY, SMALL, flags, play, state_at, steps_kept

from gpt2_small import entry_point
from gpt2_small.entry_point import run_command
from gpt2_small.errors import MachineError, ProcessLost
from gpt2_small.training.distributed import collectives, joined_processes
from gpt2_small.training.distributed.process_group import losses_as_sentences, this_machine, timeout

pytestmark = pytest.mark.timeout(300)
HERE = socket.gethostname()
GO_ON = "see its own last message, and resume from the last checkpoint with the same command and "


def free_port() -> int:
    """Return a free port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


# Without an agent no process is ended because another failed, so each prints its own message.
NO_AGENT = "from gpt2_small import entry_point\nentry_point.SECONDS_TO_PRINT = 0\n"


class World:
    """Processes of one process group."""

    def __init__(self, tmp_path: Path, size: int = 2) -> None:
        self.tmp_path, self.size, self.port = tmp_path, size, free_port()

    def start(self, rank: int, *arguments: object, before: str = "", **env: object) -> Fork:
        """Start one of them in its own folder, and write the play there if it is missing."""
        folder = self.tmp_path / str(env.pop("folder", rank))
        if not folder.exists():
            folder.mkdir()
            play(folder)
        env = {
            "RANK": rank,
            "LOCAL_RANK": rank,
            "WORLD_SIZE": self.size,
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": self.port,
            "TORCHELASTIC_RUN_ID": "test",
            **env,
        }
        setting = {name: str(value) for name, value in env.items()}
        entering = (
            f"import os\nos.chdir({str(folder)!r})\nos.environ.update({setting!r})\n{NO_AGENT}"
        )
        return the_forks().start("train", *arguments, before=entering + before)

    def run(self, *arguments: object, **how: object) -> list[Fork]:
        """Run them all to their end."""
        forks = [self.start(rank, *arguments, **how) for rank in range(self.size)]
        for fork in forks:
            fork.wait()
        return forks


def begin(**changes):
    return ["--preset", "characters", "--data", "play.txt", "--out", "run",
            "--device", "cpu", *flags(SMALL, **changes)]  # fmt: skip


def endings(forks):
    return [(fork.code, fork.err) for fork in forks]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Return two processes' folders, with a finished run in the first."""
    folder = tmp_path_factory.mktemp("finished")
    assert endings(World(folder).run(*begin(max_steps=6))) == [(0, ""), (0, "")]
    return folder


def in_the_middle(tmp_path, **env):
    """Start two processes; after step 6 the second one blocks."""
    world = World(tmp_path)
    before = block_before_step(7, tmp_path / "gate", rank=1)
    forks = [world.start(rank, *begin(), before=before, **env) for rank in range(2)]
    log = tmp_path / "0/run/log.jsonl"
    wait_until(lambda: log.exists() and log.read_bytes().count(b"\n") == 6)
    return forks


@pytest.mark.slow
def test_a_killed_process_is_reported_in_one_sentence_and_the_run_resumes(tmp_path):
    first, second = in_the_middle(tmp_path)
    second.send(signal.SIGKILL)
    assert (first.wait(), second.wait()) == (1, -signal.SIGKILL)
    assert first.err.startswith("error: another process was lost (")
    assert GO_ON in first.err
    assert first.err.count("\n") == 1
    again = World(tmp_path).run("--resume", *begin())
    assert endings(again) == [(0, ""), (0, "")]
    uncut = tmp_path / "uncut"
    uncut.mkdir()
    assert endings(World(uncut).run(*begin())) == [(0, ""), (0, "")]
    assert state_at(tmp_path / "0/run", 12) == state_at(uncut / "0/run", 12)


@pytest.mark.slow
def test_the_wait_for_a_process_that_does_not_answer_ends_after_the_given_time(tmp_path):
    first, second = in_the_middle(tmp_path, GPT2_SMALL_TIMEOUT=5)
    assert first.wait() == 1
    (tmp_path / "gate").touch()
    assert second.wait() == 1
    assert first.err.startswith("error: another process did not answer for 5 seconds (GPT2_SMALL")
    assert second.err == ""
    assert steps_kept(tmp_path / "0/run") == [3, 6]


def test_the_wait_for_a_process_that_does_not_start_ends_after_the_given_time(tmp_path):
    fork = World(tmp_path).start(0, *begin(), GPT2_SMALL_TIMEOUT=1)
    assert fork.wait() == 1
    sentence = "the processes cannot reach each other (not all joined within 1 seconds); set GLOO_"
    assert fork.err.startswith(f"error: {sentence}")
    assert fork.err.count("\n") == 1


def test_each_machine_reports_its_own_error_once(tmp_path):
    world = World(tmp_path, size=4)
    named = dict(GLOO_SOCKET_IFNAME="eth99", GROUP_WORLD_SIZE=2)
    forks = [
        world.start(rank, *begin(), LOCAL_RANK=rank - 2, **named, folder="b") for rank in (2, 3)
    ]
    assert [fork.wait() for fork in forks] == [2, 2]
    assert f"error: {HERE}: GLOO_SOCKET_IFNAME is 'eth99', which is not a network" in forks[0].err
    assert forks[1].err == ""


def test_the_first_process_reports_a_text_missing_on_another_machine(tmp_path):
    (tmp_path / "1").mkdir()
    first, second = World(tmp_path).run(*begin())
    assert (first.code, second.code, second.err) == (2, 2, "")
    assert f"error: process 1, on {HERE}: there is no file and no data set 'play.txt'" in first.err
    assert not (tmp_path / "0/run").exists()


def test_text_that_differs_on_another_machine_is_refused(tmp_path):
    (tmp_path / "1").mkdir()
    (tmp_path / "1/play.txt").write_text(PLAY.replace("crown", "clown"))
    first, second = World(tmp_path).run(*begin())
    assert (first.code, second.code, second.err) == (2, 2, "")
    assert f"error: play.txt is not the same for process 1, on {HERE}, as for" in first.err
    assert not (tmp_path / "0/run").exists()


def test_a_solution_that_differs_on_another_machine_is_refused(tmp_path):
    world = World(tmp_path)
    other = "from gpt2_small import binding\nbinding.sha256 = lambda solution: 'another'"
    forks = [world.start(rank, *begin(), before=other * rank) for rank in range(2)]
    assert [fork.wait() for fork in forks] == [2, 2]
    assert f"error: the solution is not the same for process 1, on {HERE}, as" in forks[0].err
    assert not (tmp_path / "0/run").exists()


def test_a_batch_that_the_processes_cannot_share_is_refused_in_one_sentence(tmp_path):
    forks = World(tmp_path).run(*begin(batch_size=3))
    sentence = "--batch-size is 3, which 2 processes cannot share equally; give a multiple of 2"
    assert endings(forks) == [(2, f"error: {sentence}\n"), (2, "")]


def test_a_run_does_not_restart_when_another_machine_becomes_rank_0(finished, tmp_path):
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    world = World(tmp_path)
    forks = [world.start(rank, "--resume", *begin(), folder=1 - rank) for rank in range(2)]
    assert [fork.wait() for fork in forks] == [2, 2]
    assert f"error: process 1, on {HERE}, finds checkpoints up to step 6 in run" in forks[0].err
    assert not (tmp_path / "1/run").exists()
    assert steps_kept(tmp_path / "0/run")[-1] == 6


def test_a_run_resumes_without_the_flag_after_torchrun_restarted_any_process(finished, tmp_path):
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    world = World(tmp_path)
    forks = [
        world.start(rank, *begin(max_steps=9), TORCHELASTIC_RESTART_COUNT=rank) for rank in range(2)
    ]
    assert [fork.wait() for fork in forks] == [0, 0]
    assert "resuming from step 6" in forks[0].out


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
