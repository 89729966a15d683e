"""gpt2-small prepare: what it says, what it refuses, and the names it knows."""

import hashlib
import io
import itertools
import re
import shutil
import sys

import pytest
from processes import ROOT, printed_by
from rich.console import Console
from shard_folders import bytes_of, json_lines, made, written

from gpt2_small import cli
from gpt2_small.commands import prepare_view
from gpt2_small.commands.prepare_view import PrepareView
from gpt2_small.data import hub_datasets as hub
from gpt2_small.data import prepare, source_names
from gpt2_small.data.prepare import Progress
from gpt2_small.data.prepare_options import in_bytes
from gpt2_small.data.source_names import NAMES, open_source
from gpt2_small.errors import UserError

PLAY = "".join(f"Line {number} of a play, spoken by nobody.\n" for number in range(300))


@pytest.fixture
def play(tmp_path):
    path = tmp_path / "play.txt"
    path.write_bytes(PLAY.encode())
    return path


@pytest.fixture
def command(monkeypatch, capsys):
    """The command with these arguments: its exit code, what it says, its error."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["gpt2-small", "prepare", *map(str, arguments)])
        try:
            cli.main()
            code = 0
        except SystemExit as ended:
            code = ended.code or 0
        return code, *capsys.readouterr()

    return run


def test_it_says_what_there_is_at_the_end(command, play, tmp_path):
    code, said, beside = command(play, "--out", tmp_path / "out", "--tokenizer", "char")
    cut = len(PLAY) - len(PLAY) // 10
    assert (code, beside) == (0, "")
    assert f"out: tokens of char ({len(set(PLAY))} different ones), uint16, in 0 s" in said
    assert f"training    {cut:,} tokens, 1 document, {in_bytes(2 * cut)} in train.bin" in said


def test_the_flags_make_what_the_function_makes(command, tmp_path):
    path = json_lines(tmp_path / "some.jsonl", written(60), column="body", title="t")
    flags = ["--tokenizer", "byte", "--format", "npy", "--shard-tokens", "500", "--column", "body"]
    more = ["--validation-share", "0.2", "--max-documents", "40", "--split", "train"]
    code, said, _ = command(path, "--out", tmp_path / "out", *flags, *more, "--processes", "1")
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
    assert "train_000000.npy to train_00000" in said
    assert bytes_of(tmp_path / "out") == bytes_of(expected)


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--tokenizer", "gtp2"], "unknown tokenizer 'gtp2'; did you mean 'gpt2'?"),
        (["--format", "txt"], "--format is 'txt'; give bin or npy"),
        (["--shard-tokens", "0"], "--shard-tokens is 0; give at least 1"),
        (["--validation-share", "nan"], "--validation-share is nan; give more than 0"),
        (["--validation-share", "0.6"], "--validation-share is 0.6; give more than 0"),
        (["--validation-share", "0.1"], "of {play} the last tenth is for validation"),
        (["--processes", "0"], "--processes is 0; give at least 1"),
        (["--column", "text"], "--column is for data sets of many documents, and {play} is not"),
        (["--split", "test"], "--split is for data sets of many documents"),
        (["--max-documents", "5"], "--max-documents is for data sets of many documents"),
        (["--tokenizer", "bpe:100000"], "bpe:100000 is more than this text can fill"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(command, play, tmp_path, flags, complaint):
    code, said, beside = command(play, "--out", tmp_path / "out", *flags)
    assert (code, said) == (2, "")
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
        ("xyz", "give a file, hub:OWNER/NAME, or one of openwebtext, fineweb-edu"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(command, play, tmp_path, name, nearest):
    name, nearest = (text.format(folder=tmp_path) for text in (name, nearest))
    code, _, beside = command(name, "--out", tmp_path / "out")
    assert code == 2
    assert f"there is no file and no data set '{name}'; " in beside
    assert nearest in beside
    assert not (tmp_path / "out").exists()


def test_a_split_that_a_data_set_does_not_have_is_refused_with_those_it_has(command, tmp_path):
    path = json_lines(tmp_path / "some.jsonl", written(12))
    code, _, beside = command(path, "--out", tmp_path / "out", "--split", "test")
    assert code == 2
    assert "has no split 'test'; its splits are: train" in beside


def test_lines_that_are_no_json_are_one_sentence(command, tmp_path):
    path = tmp_path / "some.jsonl"
    path.write_text('{"text": "one"}\n{"text": tw\n')
    code, _, beside = command(path, "--out", tmp_path / "out")
    assert code == 2
    assert "some.jsonl" in beside
    assert beside.count("\n") == 1


def test_preparing_needs_no_torch(play, tmp_path):
    program = (
        "import sys\n"
        "from gpt2_small.data.prepare import prepare\n"
        f"every = list(prepare({str(play)!r}, {str(tmp_path / 'out')!r}))\n"
        "print(every[-1].stage, 'torch' in sys.modules)"
    )
    assert printed_by(program, tmp_path) == "done False"


# Names that stand for data sets elsewhere


@pytest.mark.parametrize("name", [*NAMES[:4], "hub:owner/name"])
def test_without_a_network_a_name_is_one_sentence_at_once(command, tmp_path, name, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    code, _, beside = command(name, "--out", tmp_path / "out")
    assert code == 2
    assert re.search("cannot be had while the network is", beside)
    assert beside.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.fixture
def on_the_hub(monkeypatch, tmp_path):
    """A hub with one data set; what it was asked for, and what `datasets` was."""
    datasets = pytest.importorskip("datasets")
    huggingface_hub = pytest.importorskip("huggingface_hub")
    path, asked = json_lines(tmp_path / "on-the-hub.jsonl", written(40)), []
    load = datasets.load_dataset

    class Answer:
        sha = "0123abc"

    def dataset_info(self, name, *, revision=None, timeout):
        asked.append((name, revision))
        return Answer()

    def load_dataset(path_or_name, name=None, *, revision=None, streaming, **more):
        asked.append((path_or_name, name, revision))
        return load("json", data_files=str(path), streaming=streaming)

    monkeypatch.setattr(hub, "is_offline", lambda: False)
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", dataset_info)
    monkeypatch.setattr(datasets, "load_dataset", lambda path, **more: load_dataset(path, **more))
    return asked


@pytest.mark.parametrize(
    ("name", "asked", "loaded"),
    [
        ("openwebtext", ("Skylion007/openwebtext", None), (None, "0123abc")),
        ("fineweb-edu", ("HuggingFaceFW/fineweb-edu", None), ("sample-10BT", "0123abc")),
        ("tinystories", ("roneneldan/TinyStories", None), (None, "0123abc")),
        ("hub:a/b", ("a/b", None), (None, "0123abc")),
        ("hub:a/b@refs/pr/1:some", ("a/b", "refs/pr/1"), ("some", "0123abc")),
    ],
)
def test_a_name_stands_for_a_data_set_at_the_commit_that_the_hub_has(
    on_the_hub, name, asked, loaded
):
    source = open_source(name)
    assert on_the_hub == [asked, (asked[0], *loaded)]
    assert source.origin["revision"] == "0123abc"
    assert len(list(source.pieces())) == 40


def test_an_interrupted_preparation_asks_the_hub_for_the_same_commit(on_the_hub, tmp_path):
    options = prepare.Options(tokenizer="byte")
    begun = prepare.prepare("hub:a/b", tmp_path / "out", options)
    assert [next(begun).stage for _ in range(2)] == ["vocabulary", "tokens"]
    begun.close()
    on_the_hub.clear()
    assert list(prepare.prepare("hub:a/b", tmp_path / "out", options))[-1].stage == "done"
    assert on_the_hub[0] == ("a/b", "0123abc")


def test_how_much_there_is_comes_from_the_name_when_the_hub_does_not_say(on_the_hub):
    source = open_source("openwebtext")
    assert (source.documents, source.bytes) == (8_013_769, 39_800_000_000)
    some = open_source("openwebtext", limit=8014)
    assert some.documents == 8014
    assert some.bytes == pytest.approx(39_800_000, rel=0.001)


def test_a_data_set_with_a_script_alone_is_told_where_its_copy_is(monkeypatch, on_the_hub):
    import datasets

    def refuse(path, **more):
        raise RuntimeError("Dataset scripts are no longer supported, but found b.py")

    monkeypatch.setattr(datasets, "load_dataset", refuse)
    with pytest.raises(UserError, match="hub:a/b@refs/convert/parquet is the hub's own copy"):
        open_source("hub:a/b")


@pytest.fixture
def shakespeare(monkeypatch, tmp_path):
    """A stand-in for the file on the network, and where it is kept."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(source_names, "is_offline", lambda: False)
    digest = hashlib.sha256(PLAY.encode()).hexdigest()
    monkeypatch.setattr(source_names, "SHAKESPEARE_SHA256", digest)
    (tmp_path / "there.txt").write_text(PLAY)
    url = (tmp_path / "there.txt").as_uri()
    monkeypatch.setattr(source_names, "SHAKESPEARE_URL", url)
    return tmp_path / "cache/gpt2-small/tinyshakespeare.txt"


def test_tiny_shakespeare_is_downloaded_once(shakespeare, tmp_path, monkeypatch):
    source = open_source("tiny-shakespeare")
    assert source.origin["sha256"] == hashlib.sha256(PLAY.encode()).hexdigest()
    assert shakespeare.read_text() == PLAY
    (tmp_path / "there.txt").unlink()
    assert open_source("tiny-shakespeare").name == "tiny-shakespeare"


def test_another_text_than_tiny_shakespeare_is_refused(shakespeare, tmp_path):
    (tmp_path / "there.txt").write_text("<html>")
    with pytest.raises(UserError, match="is not tiny-shakespeare"):
        open_source("tiny-shakespeare")
    assert not shakespeare.exists()


def test_a_network_that_is_down_is_one_sentence_with_the_way_out(shakespeare, tmp_path):
    (tmp_path / "there.txt").unlink()
    with pytest.raises(
        UserError, match=r"cannot be downloaded \(.*\); download it from file:.* and"
    ):
        open_source("tiny-shakespeare")


# What it looks like


def step(stage="tokens", tokens=0, fraction=0.0):
    return Progress(
        stage=stage,
        documents=round(8e6 * fraction),
        tokens=tokens,
        bytes=round(4e10 * fraction),
        total_documents=8_000_000,
        total_bytes=None,
    )


def watched(is_terminal, steps, tmp_path, monkeypatch):
    """What a view shows of steps that come once a minute."""
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
    assert lines[-1] == "taking the hashes"


def test_in_a_terminal_a_line_of_at_most_80_columns_tells_rate_and_time_left(tmp_path, monkeypatch):
    shown = re.sub(r"\x1b\[[^a-zA-Z]*[a-zA-Z]", "", watched(True, STEPS, tmp_path, monkeypatch))
    lines = [line for line in re.split(r"[\r\n]", shown) if line.strip()]
    assert max(map(len, lines)) <= 80
    assert any(
        re.search(r"7,200,000 documents  36 GB  \d\d\.\dM tokens/s .* left", e) for e in lines
    )


def test_it_says_when_it_goes_on(tmp_path, monkeypatch):
    shown = watched(
        False, [step(tokens=3_000_000_000, fraction=0.3), STEPS[3]], tmp_path, monkeypatch
    )
    assert shown.startswith("Going on after 3,000,000,000 tokens.")


@pytest.mark.parametrize(
    ("count", "said"),
    [(0, "0 bytes"), (999, "999 bytes"), (17_240_000_000, "17.2 GB"), (2.5e12, "2.5 TB")],
)
def test_bytes_are_said_for_a_person(count, said):
    assert in_bytes(count) == said


# docs/data.md


def test_the_commands_on_the_page_have_only_flags_and_names_that_there_are(command):
    page = (ROOT / "docs/data.md").read_text()
    known = command("--help")[1]
    calls = re.findall(r"gpt2-small prepare (\S+)(.*)", page)
    assert len(calls) > 4
    for name, rest in calls:
        assert name in NAMES or name.startswith("hub:") or "." in name
        assert {flag for flag in re.findall(r"--[a-z-]+", rest) if f"{flag} " not in known} == set()


def test_the_python_on_the_page_runs(tmp_path, monkeypatch, capsys, play):
    monkeypatch.chdir(tmp_path)
    made(play, tmp_path / "data/play", tokenizer="char")
    page = (ROOT / "docs/data.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    exec(code, {})
    assert capsys.readouterr().out
    shutil.rmtree(tmp_path / "data")
