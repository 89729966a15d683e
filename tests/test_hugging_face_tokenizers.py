"""Exported tokenizer files, read back by `transformers`."""

import pytest

from gpt2_small.errors import UserError
from gpt2_small.text.hugging_face import write_hugging_face_files
from gpt2_small.text.tokenizers import (
    BytePairTokenizer,
    ByteTokenizer,
    CharTokenizer,
    GPT2Tokenizer,
)

transformers = pytest.importorskip("transformers")

TEXT = "The cat sat on the mat; it's 3,141 cats.\n\n  Héllo 中文 😀\t\r\n" * 5
BYTE_LEVEL = [
    GPT2Tokenizer(),
    BytePairTokenizer.train(TEXT, 280),
    ByteTokenizer(),
    ByteTokenizer(end_of_text=False),
]
EVERY_KIND = [*BYTE_LEVEL, CharTokenizer(TEXT)]


@pytest.mark.parametrize("tokenizer", EVERY_KIND, ids=lambda tokenizer: tokenizer.name)
def test_auto_tokenizer_gives_the_same_ids_and_text(tokenizer, tmp_path):
    write_hugging_face_files(tokenizer, tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    ids = tokenizer.encode(TEXT)
    assert theirs(TEXT)["input_ids"] == ids
    assert theirs.decode(ids) == TEXT


@pytest.mark.parametrize("tokenizer", BYTE_LEVEL, ids=lambda tokenizer: tokenizer.name)
def test_vocabulary_and_merges_alone_give_the_same_ids(tokenizer, tmp_path):
    write_hugging_face_files(tokenizer, tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    theirs = transformers.GPT2Tokenizer.from_pretrained(tmp_path)
    assert theirs(TEXT)["input_ids"] == tokenizer.encode(TEXT)


@pytest.mark.parametrize("tokenizer", EVERY_KIND, ids=lambda tokenizer: tokenizer.name)
def test_vocabulary_size_and_end_of_text_are_the_same(tokenizer, tmp_path):
    write_hugging_face_files(tokenizer, tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert (len(theirs), theirs.eos_token_id) == (tokenizer.vocab_size, tokenizer.end_of_text)


def test_the_context_length_is_promised(tmp_path):
    write_hugging_face_files(ByteTokenizer(), tmp_path, n_ctx=77)
    assert transformers.AutoTokenizer.from_pretrained(tmp_path).model_max_length == 77


def test_a_kind_that_the_files_cannot_say_is_refused_and_nothing_written(tmp_path):
    class Strange:
        name, vocab_size, end_of_text = "strange", 3, None

    with pytest.raises(UserError, match="'strange' cannot be written as Hugging Face files"):
        write_hugging_face_files(Strange(), tmp_path)
    assert list(tmp_path.iterdir()) == []
