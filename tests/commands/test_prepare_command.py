"""Test gpt2-small prepare: its output, errors and known names."""

import io
import itertools
import re
import sys
from contextlib import suppress

import pytest
from command_line import exit_code_of
from pages import block
from processes import printed_by
from rich.console import Console
from shard_folders import PLAY, bytes_of, json_lines, made, write_file, written

from gpt2_small import cli
from gpt2_small.commands.screens import prepare_view
from gpt2_small.commands.screens.prepare_view import PrepareView
from gpt2_small.data.corpora.named_corpora import NAMES
from gpt2_small.data.prepare import PrepareProgress
from gpt2_small.data.prepare_options import in_bytes
from gpt2_small.tokenizers.registry import save_tokenizer
from gpt2_small.tokenizers.simple import CharTokenizer
from gpt2_small.tokenizers.tokenizer_folders import tokenizer_or_name


@pytest.fixture
def play(tmp_path):
    return write_file(tmp_path / "play.txt", PLAY)


@pytest.fixture
def command(monkeypatch, capsys):
    """Return a function that runs the command, and returns exit code, output and error."""

    def run(*arguments):
        return exit_code_of(monkeypatch, "prepare", *arguments), *capsys.readouterr()

    return run


def test_at_the_end_prepare_prints_the_counts_of_both_splits(command, play, tmp_path):
    code, printed, beside = command(play, "--out", tmp_path / "out", "--tokenizer", "char")
    cut = len(PLAY) - len(PLAY) // 10
    assert (code, beside) == (0, "")
    assert f"out: uint16 tokens of char (vocabulary {len(set(PLAY))}) in 0 s" in printed
    assert f"training    {cut:,} tokens, 1 document, {in_bytes(2 * cut)} in train.bin" in printed


def test_the_command_writes_the_same_files_as_the_function(command, tmp_path):
    path = json_lines(tmp_path / "some.jsonl", written(60), column="body", title="t")
    flags = ["--tokenizer", "byte", "--format", "npy", "--shard-tokens", "500", "--column", "body"]
    more = ["--validation-share", "0.2", "--max-documents", "40"]
    code, printed, _ = command(path, "--out", tmp_path / "out", *flags, *more, "--processes", "1")
    expected = made(
        path,
        tmp_path / "expected",
        column="body",
        max_documents=40,
        tokenizer="byte",
        kind="npy",
        shard_tokens=500,
        validation_share=0.2,
    )
    assert code == 0
    assert "train_000000.npy to train_00000" in printed
    assert bytes_of(tmp_path / "out") == bytes_of(expected)


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--tokenizer", "gtp2"], "unknown tokenizer 'gtp2'; did you mean gpt2?"),
        (["--format", "txt"], "--format is 'txt'; give bin or npy"),
        (["--shard-tokens", "0"], "--shard-tokens is 0; give at least 1"),
        (["--validation-share", "nan"], "--validation-share is nan; give more than 0"),
        (["--validation-share", "0.6"], "--validation-share is 0.6; give more than 0"),
        (
            ["--validation-share", "0.1"],
            "{play} has too few, so that the last tenth of each is held out",
        ),
        (["--processes", "0"], "--processes is 0; give at least 1"),
        (
            ["--column", "text"],
            "--column is for files and data sets of rows, and {play} is not one",
        ),
        (["--split", "test"], "--split is for data sets of the Hub"),
        (["--max-documents", "5"], "--max-documents is for texts of many documents"),
        (["--tokenizer", "bpe:100000"], "bpe:100000 is too large for this text"),
    ],
)
def test_an_error_is_reported_in_one_sentence_with_exit_code_2(
    command, play, tmp_path, flags, complaint
):
    code, printed, beside = command(play, "--out", tmp_path / "out", *flags)
    assert (code, printed) == (2, "")
    assert beside.startswith("error: ")
    assert complaint.format(play=play) in beside
    assert beside.count("\n") == 1
    assert not list((tmp_path / "out").glob("*.*"))


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("openwebtxt", "did you mean openwebtext?"),
        ("tinystory", "did you mean tinystories?"),
        ("{folder}/plya.txt", "did you mean {folder}/play.txt?"),
        ("", "give a file, hub:OWNER/NAME"),
        ("xyz", "give a file, hub:OWNER/NAME, or one of openwebtext, fineweb-edu"),
    ],
)
def test_an_unknown_name_is_refused_with_a_suggestion(command, play, tmp_path, name, nearest):
    name, nearest = (text.format(folder=tmp_path) for text in (name, nearest))
    code, _, beside = command(name, "--out", tmp_path / "out")
    assert code == 2
    assert f"there is no file and no data set '{name}'; " in beside
    assert nearest in beside
    assert not (tmp_path / "out").exists()


def test_lines_without_json_are_reported_in_one_sentence(command, tmp_path):
    path = tmp_path / "some.jsonl"
    path.write_text('{"text": "one"}\n{"text": tw\n')
    code, _, beside = command(path, "--out", tmp_path / "out")
    assert code == 2
    assert "some.jsonl" in beside
    assert beside.count("\n") == 1


def test_prepare_imports_no_torch(play, tmp_path):
    program = (
        "import sys\n"
        "from gpt2_small.data.prepare import prepare\n"
        f"every = list(prepare({str(play)!r}, {str(tmp_path / 'out')!r}))\n"
        "print(every[-1].stage, 'torch' in sys.modules)"
    )
    assert printed_by(program, tmp_path, fresh=True) == "done False"


# The display


def step(stage="tokens", tokens=0, fraction=0.0):
    return PrepareProgress(
        stage=stage,
        documents=round(8e6 * fraction),
        tokens=tokens,
        bytes=round(4e10 * fraction),
        total_documents=8_000_000,
        total_bytes=None,
    )


def watched(is_terminal, steps, tmp_path, monkeypatch):
    """Return a view's output for steps one minute apart."""
    minutes = itertools.count()
    monkeypatch.setattr(prepare_view.time, "perf_counter", lambda: 60 * next(minutes))
    file = io.StringIO()
    console = Console(file=file, force_terminal=is_terminal, width=80, highlight=False)
    view = PrepareView("openwebtext", tmp_path, console=console, seconds_between_lines=0)
    with view.live():
        for each in steps:
            view.show(each)
            view._progress.refresh()
    return file.getvalue()


STEPS = [
    step("vocabulary"),
    step(),
    step(tokens=2_000_000_000, fraction=0.25),
    step(tokens=8_000_000_000, fraction=0.9),
    step("hashes", tokens=9_000_000_000, fraction=1.0),
]


def test_without_a_terminal_there_are_plain_lines(tmp_path, monkeypatch):
    lines = watched(False, STEPS, tmp_path, monkeypatch).splitlines()
    assert lines[0] == "making the tokenizer"
    assert re.fullmatch(r"2,000,000 documents  10 GB  33\.3M tokens/s  25%  180 s left", lines[2])
    assert lines[-1] == "hashing the shards"


def test_at_a_terminal_a_line_of_at_most_80_columns_shows_rate_and_time_left(tmp_path, monkeypatch):
    shown = re.sub(r"\x1b\[[^a-zA-Z]*[a-zA-Z]", "", watched(True, STEPS, tmp_path, monkeypatch))
    lines = [line for line in re.split(r"[\r\n]", shown) if line.strip()]
    assert max(map(len, lines)) <= 80
    assert any(
        re.search(r"7,200,000 documents  36 GB  \d\d\.\dM tokens/s .* left", e) for e in lines
    )


def test_a_resumed_preparation_is_announced(tmp_path, monkeypatch):
    shown = watched(
        False, [step(tokens=3_000_000_000, fraction=0.3), STEPS[3]], tmp_path, monkeypatch
    )
    assert shown.startswith("Resuming after 3,000,000,000 tokens.")


@pytest.mark.parametrize("name", ["gpt2", "byte", "char-chat", "bpe:300"])
def test_a_folder_does_not_take_the_place_of_a_tokenizers_name(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()
    save_tokenizer(CharTokenizer("abc"), tmp_path / name)
    assert tokenizer_or_name(name) == name
    assert tokenizer_or_name(f"./{name}").name == "char"


@pytest.mark.parametrize(
    ("count", "printed"),
    [(0, "0 bytes"), (999, "999 bytes"), (17_240_000_000, "17.2 GB"), (2.5e12, "2.5 TB")],
)
def test_byte_counts_have_units(count, printed):
    assert in_bytes(count) == printed


# docs/data.md


def test_the_names_on_the_page_are_known_and_their_flags_exist(command):
    known = command("--help")[1]
    calls = re.findall(r"gpt2-small prepare (\S+)(.*)", block("data.md", "text"))
    assert {name for name, _ in calls if not name.startswith("hub:")} == {*NAMES} - {"stories"}
    for _, rest in calls:
        assert {flag for flag in re.findall(r"--[a-z-]+", rest) if f"{flag} " not in known} == set()


def test_the_commands_on_the_page_run(tmp_path, monkeypatch, capsys, play):
    monkeypatch.chdir(tmp_path)
    play.rename("plays.txt")
    json_lines(tmp_path / "articles.jsonl", [PLAY] * 2 + written(30), column="body", title="t")
    (tmp_path / "texts").mkdir()
    for number, text in enumerate(written(12)):
        (tmp_path / f"texts/{number}.txt").write_text(text)
    for line in block("data.md", "bash").splitlines():
        monkeypatch.setattr(sys, "argv", line.split())
        with suppress(SystemExit):
            cli.main()
        printed, beside = capsys.readouterr()
        assert beside == ""
        assert "Wrote " in printed or "Trained 2 steps" in printed
    assert (tmp_path / "runs/articles/loss.png").exists()


def test_the_python_on_the_page_runs(tmp_path, monkeypatch, capsys, play):
    monkeypatch.chdir(tmp_path)
    made(play, tmp_path / "data/play", tokenizer="char")
    exec(block("data.md", "python"), {})
    assert capsys.readouterr().out
