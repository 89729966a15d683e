"""Test Ctrl-C during a download: an immediate end, and resuming with the same command."""

import json
import signal
from pathlib import Path

import pytest
from forked import Fork, the_forks, wait_until
from slow_hub import REPOSITORY, SlowHub, slow_hub
from small_gpt2s import characters, hugging_face_gpt2
from small_runs import flags

from gpt2_small.entry_point import INTERRUPTED
from gpt2_small.tokenizers.hugging_face import write_tokenizer_files

pytestmark = pytest.mark.timeout(300)
LONG = "600"  # seconds: the timeout of the Hub's client itself
PATIENT = """
from gpt2_small.data.corpora import hub_corpus
from gpt2_small.weights import hub_models

hub_models.ANSWER_SECONDS = hub_corpus.ANSWER_SECONDS = 100.0
"""


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "repository"
    folder.mkdir()
    return folder


def start(hub: SlowHub, folder: Path, *words: object) -> Fork:
    environment = {
        "HF_ENDPOINT": hub.address,
        "HF_HUB_OFFLINE": "0",
        "HF_HOME": str(folder / "hugging-face"),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "GPT2_SMALL_SHARDS": str(folder / "cached-shards"),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DOWNLOAD_TIMEOUT": LONG,
    }
    before = f"import os\nos.environ.update({environment!r})\n{PATIENT}"
    return the_forks().start(*words, before=before)


def interrupted(hub: SlowHub, fork: Fork) -> str:
    """Return the error of a command that gets one Ctrl-C while it waits for the rest of a file."""
    wait_until(lambda: hub.has_stalled.is_set() or fork.poll() is not None)
    assert fork.poll() is None, fork.err
    fork.send(signal.SIGINT)
    assert fork.wait() == INTERRUPTED
    assert not hub.released.is_set()
    assert "Traceback" not in fork.err
    return fork.out + fork.err


@pytest.mark.parametrize("command", ["sample", "train"])
def test_ctrl_c_while_a_model_is_downloaded_ends_the_command_at_once(tmp_path, repository, command):
    hugging_face_gpt2().save_pretrained(repository)
    (tmp_path / "play.txt").write_text("To be, or not to be.\n" * 50)
    begin = ["--preset", "finetune", "--data", tmp_path / "play.txt", "--out", tmp_path / "run"]
    words = {
        "sample": ["--prompt", "A", "--max-new-tokens", 1, "--model", REPOSITORY],
        "train": [*begin, "--init-from", REPOSITORY],
    }[command]
    with slow_hub(repository, "model.safetensors", 2000) as hub:
        printed = interrupted(hub, start(hub, tmp_path, command, *words))
        assert f"Interrupted while downloading {REPOSITORY}; the same command" in printed
    assert not (tmp_path / "run").exists()


def test_a_model_whose_download_was_interrupted_is_downloaded_by_the_same_command(
    tmp_path, repository
):
    hugging_face_gpt2().save_pretrained(repository)
    write_tokenizer_files(characters(), repository)
    words = ["sample", "--model", REPOSITORY, "--prompt", "A", "--max-new-tokens", 1]
    with slow_hub(repository, "model.safetensors", 2000) as hub:
        interrupted(hub, start(hub, tmp_path, *words))
        hub.released.set()
        again = start(hub, tmp_path, *words)
        assert again.wait() == 0, again.err


ROWS = 2000
SENT = 400_000
"""Bytes of such a file that the Hub sends before it stalls: more than half."""


def rows(path: Path) -> Path:
    """Return a Parquet file of several row groups, which are requested separately."""
    pyarrow = pytest.importorskip("pyarrow")
    pytest.importorskip("datasets")
    from pyarrow import parquet

    table = pyarrow.table({"text": [f"row {number} " * 50 for number in range(ROWS)]})
    parquet.write_table(table, path, row_group_size=ROWS // 20, compression=None)
    return path


def test_ctrl_c_while_a_data_set_is_downloaded_ends_prepare_with_the_command_to_resume(
    tmp_path, repository
):
    path = rows(repository / "train.parquet")
    words = ["prepare", f"hub:{REPOSITORY}", "--out", tmp_path / "out", "--tokenizer", "byte"]
    words += ["--processes", 1]
    with slow_hub(repository, path.name, SENT) as hub:
        printed = interrupted(hub, start(hub, tmp_path, *words))
        assert "Interrupted. The same command resumes" in printed
        hub.released.set()
        again = start(hub, tmp_path, *words)
        assert again.wait() == 0, again.err
    index = json.loads((tmp_path / "out" / "shards.json").read_text())
    assert sum(part["documents"] for part in index["splits"].values()) == ROWS


def test_ctrl_c_while_train_downloads_a_data_set_ends_it_at_once(tmp_path, repository):
    path = rows(repository / "train.parquet")
    words = ["train", "--preset", "characters", "--data", f"hub:{REPOSITORY}", *flags()]
    with slow_hub(repository, path.name, SENT) as hub:
        printed = interrupted(hub, start(hub, tmp_path, *words, "--out", tmp_path / "run"))
    assert f"Interrupted while preparing hub:{REPOSITORY}; the same command" in printed
    assert not (tmp_path / "run").exists()
