"""Texts to train on: read, refused, split, tokenized."""

import builtins
import json
import sys

import numpy as np
import pytest

from gpt2_small.data import hub_datasets as hub
from gpt2_small.data.corpora import load_corpus, split_documents
from gpt2_small.errors import UserError
from gpt2_small.tokenizers.registry import ByteTokenizer, CharTokenizer

TEXT = "".join(f"Line {number} of a play, spoken by nobody.\n" for number in range(100))


@pytest.fixture
def play(tmp_path):
    path = tmp_path / "play.txt"
    path.write_bytes(TEXT.encode())
    return path


def folder_of_documents(folder, documents, column="text", **more):
    folder.mkdir()
    rows = [json.dumps({column: document, **more}) for document in documents]
    (folder / "train.jsonl").write_text("\n".join(rows))
    return f"hub:{folder}"


def test_a_file_is_characters_unless_said_otherwise(play):
    corpus = load_corpus(play)
    assert corpus.tokenizer.name == "char"
    assert corpus.tokenizer.vocab_size == len(set(TEXT))


@pytest.mark.parametrize("spec", ["char", "byte", "gpt2", "bpe:300"])
def test_the_last_tenth_of_a_file_is_for_validation(spec, play):
    corpus = load_corpus(play, tokenizer=spec)
    cut = len(TEXT) - len(TEXT) // 10
    assert corpus.tokenizer.name == spec
    assert corpus.tokenizer.decode(corpus.train.tolist()) == TEXT[:cut]
    assert corpus.tokenizer.decode(corpus.validation.tolist()) == TEXT[cut:]


def test_tokens_of_a_small_vocabulary_take_two_bytes(play):
    corpus = load_corpus(play, tokenizer="gpt2")
    assert corpus.train.dtype == corpus.validation.dtype == np.uint16


def test_a_tokenizer_that_exists_is_used_as_it_is(play):
    tokenizer = CharTokenizer(TEXT + "ÄÖÜ")
    assert load_corpus(play, tokenizer=tokenizer).tokenizer is tokenizer


def test_a_byte_pair_vocabulary_learns_nothing_from_the_validation_part(tmp_path, play):
    other = tmp_path / "other.txt"
    cut = len(TEXT) - len(TEXT) // 10
    other.write_bytes((TEXT[:cut] + "z" * (len(TEXT) - cut)).encode())
    merges = [load_corpus(path, tokenizer="bpe:300").tokenizer.merges for path in (play, other)]
    assert merges[0] == merges[1]


def test_line_endings_stay_and_a_byte_order_mark_goes(tmp_path):
    path = tmp_path / "windows.txt"
    path.write_bytes(b"\xef\xbb\xbf" + b"one\r\ntwo\r\n" * 10)
    corpus = load_corpus(path)
    assert corpus.tokenizer.decode(corpus.train[:5].tolist()) == "one\r\n"


def test_a_missing_file_is_refused_with_the_nearest_name(play):
    with pytest.raises(UserError, match=r"plya\.txt does not exist; did you mean .*play\.txt\?"):
        load_corpus(play.with_name("plya.txt"))


def test_a_file_in_a_missing_folder_is_refused_with_the_folder(tmp_path):
    with pytest.raises(UserError, match=f"there is no folder {tmp_path / 'no'}"):
        load_corpus(tmp_path / "no" / "play.txt")


def test_a_folder_is_refused_with_a_file_in_it(play):
    with pytest.raises(UserError, match=r"is a folder; give one text file, such as .*play\.txt"):
        load_corpus(play.parent)


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"text\0more", "a zero byte at offset 4"),
        ("naïve".encode("latin-1"), "byte 0xef at offset 2"),
        ("text".encode("utf-16"), "a zero byte at offset 3"),
        (b"cut off \xe4\xb8", "byte 0xe4 at offset 8"),
    ],
)
def test_what_is_not_text_is_refused_by_name_and_offset(data, complaint, tmp_path):
    path = tmp_path / "data.bin"
    path.write_bytes(data)
    with pytest.raises(UserError, match=complaint) as refusal:
        load_corpus(path)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_text_shorter_than_the_context_is_refused_with_both_numbers(tmp_path):
    path = tmp_path / "short.txt"
    path.write_text("a" * 100)
    assert len(load_corpus(path, n_ctx=89).train) == 90
    with pytest.raises(UserError, match=r"short\.txt has 90 tokens, fewer than the 91 .* most 89"):
        load_corpus(path, n_ctx=90)


def test_the_length_is_counted_in_tokens_and_not_in_characters(play):
    assert len(load_corpus(play, n_ctx=2000).train) > 2000
    with pytest.raises(UserError, match="fewer than the 2001"):
        load_corpus(play, tokenizer="gpt2", n_ctx=2000)


def test_an_unknown_tokenizer_is_refused_before_anything_is_read(tmp_path):
    with pytest.raises(UserError, match="did you mean 'gpt2'"):
        load_corpus(tmp_path / "not there", tokenizer="gpt")


def test_every_tenth_document_is_for_validation():
    train, validation = split_documents([str(index) for index in range(25)])
    assert validation == ["9", "19"]
    assert sorted(map(int, train + validation)) == list(range(25))


def test_few_documents_are_split_as_one_text():
    assert split_documents(["abcd", "efgh"]) == (["abcd\n\nefg"], ["h"])


def test_documents_of_a_data_set_are_separated_by_the_end_of_text(tmp_path):
    source = folder_of_documents(tmp_path / "set", [f"Text {index}." for index in range(20)])
    corpus = load_corpus(source, tokenizer="byte")
    assert corpus.tokenizer.decode(corpus.train.tolist()).startswith(
        "Text 0.<|endoftext|>Text 1.<|endoftext|>"
    )
    assert corpus.tokenizer.decode(corpus.validation.tolist()) == (
        "Text 9.<|endoftext|>Text 19.<|endoftext|>"
    )


def test_documents_are_separated_by_an_empty_line_where_there_is_no_end_of_text(tmp_path):
    source = folder_of_documents(tmp_path / "set", [f"Text {index}." for index in range(20)])
    corpus = load_corpus(source, tokenizer="char")
    assert corpus.tokenizer.decode(corpus.validation.tolist()) == "Text 9.\n\nText 19."


def test_a_data_set_is_read_no_further_than_asked(tmp_path):
    source = folder_of_documents(tmp_path / "set", ["x" * 10] * 50)
    corpus = load_corpus(source, tokenizer="byte", max_characters=205)
    assert len(corpus.train) + len(corpus.validation) == 21 * 11


def test_the_only_column_of_text_is_found(tmp_path):
    source = folder_of_documents(tmp_path / "set", ["story"] * 10, column="story", stars=5)
    assert load_corpus(source, tokenizer="byte").train[:5].tolist() == list(b"story")


def test_several_columns_of_text_ask_for_a_choice(tmp_path):
    source = folder_of_documents(tmp_path / "set", ["a b"] * 10, column="body", title="t")
    with pytest.raises(UserError, match="columns of text are: body, title"):
        load_corpus(source)
    assert load_corpus(source, tokenizer="byte", column="body").train[:3].tolist() == list(b"a b")


def test_an_unreachable_data_set_is_refused_in_one_sentence():
    with pytest.raises(UserError, match="'owner/name' cannot be had while the network is switched"):
        load_corpus("hub:owner/name")


def test_a_hub_that_does_not_answer_is_asked_once(monkeypatch):
    huggingface_hub = pytest.importorskip("huggingface_hub")
    asked = []

    def refuse(self, name, timeout):
        asked.append((name, timeout))
        raise ConnectionError("Name or service not known\nand more")

    monkeypatch.setattr(hub, "is_offline", lambda: False)
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", refuse)
    with pytest.raises(
        UserError, match=r"cannot be reached .* \(Name or service not known\)"
    ) as no:
        load_corpus("hub:owner/name:config")
    assert asked == [("owner/name", hub.ANSWER_SECONDS)]
    assert "\n" not in str(no.value)


def test_without_the_data_sets_library_the_way_to_get_it_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UserError, match="pip install datasets"):
        load_corpus("hub:owner/name")


def test_the_data_sets_library_is_imported_only_for_the_hub(play, monkeypatch):
    real = builtins.__import__

    def guarded(name, *args, **kwargs):
        assert not name.startswith("datasets"), "datasets was imported for a file"
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", guarded)
    assert load_corpus(play, tokenizer=ByteTokenizer()).train[:4].tolist() == list(b"Line")
