"""Test lost and differing processes: an error, an exit code, and no lost work.

The processes get torchrun's environment variables without torchrun, so that all output is theirs.
"""

import shutil
import signal
import socket
from pathlib import Path

import pytest
from forked import Fork, the_forks, wait_until
from injected_programs import block_before_step
from small_runs import PLAY, SMALL, flags, play, state_at, steps_kept

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
