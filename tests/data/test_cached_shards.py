"""Test texts opened as tokens: prepared into the cache folder once, and reused."""

import builtins
import subprocess
import sys
import time

import pytest
from chat_folders import prepared
from shard_folders import bytes_of, divided, json_lines, made, written

from gpt2_small.data import cached_shards
from gpt2_small.data.cached_shards import open_text
from gpt2_small.errors import UserError
from gpt2_small.tokenizers.registry import ByteTokenizer, CharTokenizer
from gpt2_small.training.training_data import open_data

TEXT = "".join(f"Line {number} of a play, spoken by nobody.\n" for number in range(100))
CUT = len(TEXT) - len(TEXT) // 10


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.delenv("GPT2_SMALL_SHARDS")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/gpt2-small/shards"


@pytest.fixture
def play(tmp_path, cache):
    path = tmp_path / "play.txt"
    path.write_bytes(TEXT.encode())
    return path


def text_of(shards):
    return tuple(
        shards.tokenizer.decode(part[:].tolist()) for part in (shards.train, shards.validation)
    )


@pytest.mark.parametrize("spec", [None, "byte", "gpt2", "bpe:300"])
def test_by_default_a_file_is_tokenised_by_characters_and_its_last_tenth_is_held_out(play, spec):
    shards = open_text(play, tokenizer=spec)
    assert shards.tokenizer.name == (spec or "char")
    assert text_of(shards) == (TEXT[:CUT], TEXT[CUT:])
    assert shards.name == str(play)


def test_the_column_of_rows_can_be_chosen(tmp_path, cache):
    path = json_lines(tmp_path / "some.jsonl", written(30), column="body", title="t")
    data = open_data(str(path), "byte", 16, column="body")
    assert data.name == str(path)
    assert text_of(data.corpus)[0].startswith(divided(written(30), 0.1)[0][0])
    with pytest.raises(UserError, match="these columns of text: body, title"):
        open_data(str(path), "byte", 16)


@pytest.mark.parametrize("name", ["some.jsonl", "folder", "some.csv"])
def test_every_text_is_read_as_prepare_reads_it(tmp_path, cache, name):
    texts = written(40)
    if name == "some.csv":
        lines = ['"' + text.replace('"', '""') + '"\n' for text in texts]
        (tmp_path / name).write_text("text\n" + "".join(lines))
    elif name == "folder":
        (tmp_path / name).mkdir()
        for number, text in enumerate(texts):
            (tmp_path / name / f"{number:02}.txt").write_text(text)
    else:
        json_lines(tmp_path / name, texts)
    shards = open_text(tmp_path / name, tokenizer="byte")
    out = made(tmp_path / name, tmp_path / "out", tokenizer="byte")
    expected = tuple("".join(f"{t}<|endoftext|>" for t in part) for part in divided(texts, 0.1))
    assert text_of(shards) == expected
    (cached,) = (path for path in cache.iterdir() if path.is_dir())
    assert bytes_of(cached) == bytes_of(out)


def test_the_cache_folder_for_shards_can_be_chosen(play, cache, tmp_path, monkeypatch):
    monkeypatch.setenv("GPT2_SMALL_SHARDS", str(tmp_path / "disk"))
    open_text(play)
    assert len(list(tmp_path.glob("disk/*/train.bin"))) == 1
    assert not cache.exists()


def test_a_text_is_prepared_once(play, cache, monkeypatch):
    first = open_text(play)
    monkeypatch.setattr(cached_shards, "Preparation", None)
    assert text_of(open_text(play)) == text_of(first)


def test_another_text_or_tokenizer_is_prepared_again(play, cache):
    open_text(play, tokenizer="byte")
    assert text_of(open_text(play, tokenizer="char"))[0] == TEXT[:CUT]
    play.write_text(TEXT.upper())
    assert text_of(open_text(play, tokenizer="byte"))[0] == TEXT.upper()[:CUT]
    assert len([path for path in cache.iterdir() if path.is_dir()]) == 3


def test_an_existing_tokenizer_is_used_unchanged(play):
    tokenizers = [CharTokenizer(TEXT + more) for more in ("ÄÖÜ", "ÄÖ")]
    for tokenizer in tokenizers:
        shards = open_text(play, tokenizer=tokenizer)
        assert shards.tokenizer.to_dict() == tokenizer.to_dict()
        assert text_of(shards)[0] == TEXT[:CUT]


def test_damaged_shards_in_the_cache_are_prepared_again(play, cache):
    open_text(play)
    (train,) = cache.glob("*/train.bin")
    train.write_bytes(b"")
    assert text_of(open_text(play))[0] == TEXT[:CUT]


def test_remarks_on_a_text_are_repeated_each_time_it_is_opened(tmp_path, cache):
    path = json_lines(tmp_path / "some.jsonl", [None, *written(30)])
    for _ in range(2):
        assert open_text(path).remarks == ("Skipped 1 of 31 rows without text.",)


def test_shards_unused_for_a_long_time_are_removed(play, cache, monkeypatch):
    open_text(play, tokenizer="byte")
    later = time.time() + cached_shards.KEPT_SECONDS + 60
    monkeypatch.setattr(cached_shards.time, "time", lambda: later)
    (old,) = (path for path in cache.iterdir() if path.is_dir())
    open_text(play, tokenizer="char")
    assert not old.exists()


@pytest.mark.parametrize("home", [None, "file"])
def test_without_a_cache_folder_a_text_can_still_be_opened(play, tmp_path, monkeypatch, home):
    if home is None:
        monkeypatch.setattr(
            cached_shards, "cache_folder", lambda: (_ for _ in ()).throw(FileNotFoundError)
        )
    else:
        monkeypatch.setenv("XDG_CACHE_HOME", str(play))
    assert text_of(open_text(play))[0] == TEXT[:CUT]


def test_a_prepared_folder_is_opened_directly(play, cache, tmp_path):
    out = made(play, tmp_path / "out", tokenizer="byte")
    assert text_of(open_text(out)) == (TEXT[:CUT], TEXT[CUT:])
    assert not cache.exists()
    for name in (str(out), "stories", str(prepared(tmp_path))):
        with pytest.raises(UserError, match=r"no columns; leave --column out"):
            open_data(name, None, 16, column="text")


def test_several_processes_that_open_a_text_prepare_it_once(play, cache):
    program = (
        "import sys\nfrom gpt2_small.data.cached_shards import open_text\n"
        "print(len(open_text(sys.argv[1], tokenizer='byte').train))"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(play)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    assert [process.communicate()[0] for process in processes] == [f"{CUT}\n"] * 2
    assert len([path for path in cache.iterdir() if path.is_dir()]) == 1


def test_a_text_shorter_than_the_context_is_refused_with_both_numbers(tmp_path, cache):
    path = tmp_path / "short.txt"
    path.write_text("a" * 100)
    assert open_data(str(path), None, 89).n_ctx == 89
    with pytest.raises(UserError, match=r"short\.txt has 90 tokens, fewer than the 91 .* most 89"):
        open_data(str(path), None, 90)


def test_an_unknown_tokenizer_is_refused_before_anything_is_read(tmp_path):
    with pytest.raises(UserError, match=r"did you mean '?gpt2"):
        open_text(tmp_path / "not there", tokenizer="gpt")


def test_a_missing_file_is_refused_with_a_suggestion(play):
    with pytest.raises(UserError, match=r"did you mean .*play\.txt\?"):
        open_text(play.with_name("plya.txt"))


def test_the_data_sets_library_is_imported_only_for_the_hub(play, monkeypatch):
    real = builtins.__import__

    def guarded(name, *args, **kwargs):
        assert not name.startswith("datasets"), "datasets was imported for a file"
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", guarded)
    assert text_of(open_text(play, tokenizer=ByteTokenizer()))[0] == TEXT[:CUT]
