"""Test docs/distributed.md: its commands, flags, messages and script."""

import inspect
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from forked import the_forks, wait_until
from pages import block, page
from small_runs import SMALL, flags, logged, play, steps_kept
from torch.distributed import run as torchrun
from torch.distributed.elastic.rendezvous import c10d_rendezvous_backend, dynamic_rendezvous
from typer.main import get_command

from gpt2_small.cli import app
from gpt2_small.training.distributed import collectives, process_group, rank_agreement
from gpt2_small.training.recipes import recipe

NAME = "distributed.md"
COMMANDS = [
    line
    for script in re.findall(r"^```sh.*?\n(.*?)^```$", page(NAME), flags=re.DOTALL | re.MULTILINE)
    for line in script.replace("\\\n", " ").splitlines()
    if "gpt2-small train" in line or "-m gpt2_small train" in line
]
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
OF_TORCHRUN = set(torchrun.get_args_parser()._option_string_actions)
OF_TRAIN = {
    name
    for parameter in get_command(app).commands["train"].params
    for name in parameter.opts + parameter.secondary_opts
}
OF_SLURM = {"--cpus-per-task", "--signal", "--requeue"}
SMALLER = ["--device", "cpu", *flags(SMALL)]


def test_every_flag_of_a_command_is_one_of_torchrun_or_of_train():
    assert len(COMMANDS) == 5
    for command in COMMANDS:
        before, _, after = command.rpartition(" train ")
        assert set(FLAG.findall(before)) <= OF_TORCHRUN | OF_SLURM, command
        assert set(FLAG.findall(after)) <= OF_TRAIN, command


def test_every_flag_in_the_text_is_known():
    text = re.sub(r"^#SBATCH .*$", "", page(NAME), flags=re.MULTILINE)
    assert set(FLAG.findall(text)) <= OF_TORCHRUN | OF_TRAIN | OF_SLURM


def test_torch_or_the_package_reads_every_variable_on_the_page():
    modules = (c10d_rendezvous_backend, dynamic_rendezvous, torchrun, process_group)
    read = "".join(map(inspect.getsource, modules))
    named = set(re.findall(r"(?:TORCH|GPT2)\w*_[A-Z_]+", page(NAME)))
    named |= set(re.findall(r"\b(?:is_host|[a-z_]+_timeout)\b", page(NAME)))
    assert len(named) == 7
    assert {name for name in named if name not in read} == set()


def test_the_messages_on_the_page_occur_in_the_code():
    source = "".join(map(inspect.getsource, (rank_agreement, collectives, process_group, recipe)))
    messages = re.sub(r'"\s*\n\s*f?"', "", source)
    table = page(NAME).partition("| message |")[2].partition("\n\n")[0]
    sentences = re.findall(r"^\| `(.*?)` \|", table, flags=re.MULTILINE)
    assert len(sentences) == 10
    for sentence in sentences:
        for piece in re.split(
            r"cuda:1|\d+|\.\.\.|play\.txt|host-b|runs/plays|Conn.*peer|[()]", sentence
        ):
            if len(piece.strip(" ,")) > 8 and "does not exist" not in piece:
                assert piece.strip(" ,") in messages, piece


@pytest.mark.parametrize(
    "command", [each for each in COMMANDS if "runs/alone" in each or "/two" in each]
)
def test_the_commands_for_one_machine_run(command, tmp_path, monkeypatch):
    play(tmp_path)
    processes = 2 if command.startswith("torchrun --standalone --nproc-per-node 2 ") else 0
    arguments = shlex.split(command.rpartition(" train ")[2])
    there = f"import os; os.chdir({str(tmp_path)!r})"
    done = the_forks().run("train", *arguments, *SMALLER, processes=processes, before=there)
    assert (done.code, done.err) == (0, "")
    assert ("2 processes" in done.out) == bool(processes)
    [run] = (tmp_path / "runs").iterdir()
    assert steps_kept(run)[-1] == SMALL.recipe.max_steps


STAND_INS = {
    "srun": """
        while [[ $1 == --* ]]; do shift; done
        echo $$ > step.pid
        exec "$@"
    """,
    # Slurm signals every process of a job's steps: torchrun and its workers.
    "scancel": """
        [ "$*" = "--signal=TERM 7" ] || exit 1
        pid=$(cat step.pid)
        kill -TERM "$pid" $(cat "/proc/$pid/task/$pid/children")
    """,
    "scontrol": """
        echo "$*" >> asked
        [ "$1" = requeue ] || echo localhost
    """,
}


@pytest.fixture
def job(tmp_path):
    """Return a folder with the script, and the environment that Slurm would set."""
    play(tmp_path)
    (tmp_path / "bin").mkdir()
    for name, script in STAND_INS.items():
        path = tmp_path / "bin" / name
        path.write_text("#!/bin/bash\n" + inspect.cleandoc(script) + "\n")
        path.chmod(0o755)
    (tmp_path / "train.sbatch").write_text(block(NAME, "sh slurm"))
    path = [str(tmp_path / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]
    return tmp_path, os.environ | {
        "PATH": os.pathsep.join(path),
        "PYTHONPATH": str(Path(rank_agreement.__file__).parents[3]),
        "OMP_NUM_THREADS": "1",
        "SLURM_JOB_ID": "7",
        "SLURM_JOB_NODELIST": "localhost",
        "SLURM_JOB_NUM_NODES": "1",
        "SLURM_GPUS_ON_NODE": "2",
        "SLURM_CPUS_PER_TASK": "1",
    }


def test_the_slurm_script_has_no_syntax_error(job):
    folder, _ = job
    subprocess.run(["bash", "-n", folder / "train.sbatch"], check=True, timeout=60)


@pytest.mark.slow
def test_the_slurm_script_saves_before_its_time_limit_requeues_itself_and_resumes(job):
    folder, environment = job
    override = ["--preset", "shakespeare-cpu", "--data", "play.txt", *SMALLER]
    run = folder / "runs/gpt2"
    log = run / "log.jsonl"

    def start(steps):
        script = ["bash", "train.sbatch", *override, "--set", f"max_steps={steps}"]
        return subprocess.Popen(script, cwd=folder, env=environment, start_new_session=True)

    first = start(1_000_000)
    try:
        wait_until(lambda: log.exists() and log.read_bytes().count(b"\n") >= 4)
        first.send_signal(signal.SIGTERM)
        assert first.wait(120) != 0
        reached = steps_kept(run)[-1]
        assert logged(run)[-1]["step"] == reached
        asked = (folder / "asked").read_text().splitlines()
        assert asked == ["show hostnames localhost", "requeue 7"]
        second = start(reached + 4)
        assert second.wait(120) == 0
    finally:
        subprocess.run(["bash", "-c", "kill -9 $(cat step.pid) 2> /dev/null"], cwd=folder)
    assert [record["step"] for record in logged(run)] == list(range(1, reached + 5))
    assert (folder / "asked").read_text().splitlines().count("requeue 7") == 1
