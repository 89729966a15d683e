"""Test tokenizers behind one protocol: round trips, streams, files."""

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpt2_small.errors import UserError
from gpt2_small.files import atomic
from gpt2_small.stories import VOCABULARY, StoriesTokenizer
from gpt2_small.tokenizers.pretoken_split import chunks
from gpt2_small.tokenizers.registry import (
    ByteLevelTokenizer,
    BytePairTokenizer,
    ByteTokenizer,
    CharTokenizer,
    GPT2Tokenizer,
    StreamDecoder,
    Tokenizer,
    encode_array,
    from_dict,
    load_tokenizer,
    make_tokenizer,
    save_tokenizer,
)
from gpt2_small.tokenizers.surrogates import bytes_to_text

TEXT = "The cat sat on the mat, and the dog sat on the cat.\n\n  Héllo 中文 😀\t3,141 it's\r\n" * 20
TRAINED = BytePairTokenizer.train(TEXT, 300)
# The same tokens in another order, as from another program.
RENUMBERED = ByteLevelTokenizer(
    {token: (7 * id) % 300 for token, id in TRAINED.vocabulary.items()},
    TRAINED.merges,
    end_of_text="<|endoftext|>",
)
BYTE_LEVEL = [GPT2Tokenizer(), ByteTokenizer(), TRAINED, RENUMBERED]
EVERY_KIND: list[Tokenizer] = [*BYTE_LEVEL, ByteTokenizer(end_of_text=False), CharTokenizer(TEXT)]
every_kind = pytest.mark.parametrize("tokenizer", EVERY_KIND, ids=lambda tokenizer: tokenizer.name)
byte_level = pytest.mark.parametrize("tokenizer", BYTE_LEVEL, ids=lambda tokenizer: tokenizer.name)

MARKS = [id for id, word in enumerate(VOCABULARY) if not word.isalpha()]
any_text = st.text(st.characters()) | st.text("😀中é \n\t'tsa\udc80\udcff\ud83d\ude00")


@every_kind
def test_decoding_a_texts_ids_gives_the_text(tokenizer):
    assert tokenizer.decode(tokenizer.encode(TEXT)) == TEXT


@every_kind
def test_every_id_is_below_the_vocabularys_size(tokenizer):
    assert set(tokenizer.encode(TEXT)) <= set(range(tokenizer.vocab_size))


@every_kind
def test_a_long_text_gives_the_same_ids_as_an_array(tokenizer):
    ids = encode_array(tokenizer, TEXT)
    assert ids.dtype == np.uint16
    assert ids.tolist() == tokenizer.encode(TEXT)


@every_kind
def test_an_empty_text_has_no_ids(tokenizer):
    assert tokenizer.encode("") == encode_array(tokenizer, "").tolist() == []
    assert tokenizer.decode([]) == ""


@every_kind
@pytest.mark.parametrize("beyond", [0, 47])
def test_an_id_of_a_padded_vocabulary_is_refused(tokenizer, beyond):
    wrong = tokenizer.vocab_size + beyond
    with pytest.raises(UserError, match=f"token id {wrong} is outside the vocabulary"):
        tokenizer.decode([0, wrong])


@every_kind
def test_a_negative_id_is_refused(tokenizer):
    with pytest.raises(UserError, match="token id -1 is outside"):
        tokenizer.decode_bytes([-1])


@byte_level
@given(text=any_text)
def test_every_utf8_string_round_trips(tokenizer, text):
    sayable = text.encode("utf-8", "replace").decode()
    assert tokenizer.decode(tokenizer.encode(sayable)) == sayable


@byte_level
@given(data=st.binary())
def test_all_bytes_round_trip(tokenizer, data):
    assert tokenizer.decode_bytes(tokenizer.encode(bytes_to_text(data))) == data


@byte_level
@given(text=any_text)
def test_strings_with_surrogates_are_encoded_the_same_in_both_ways(tokenizer, text):
    assert encode_array(tokenizer, text).tolist() == tokenizer.encode(text)


@byte_level
def test_a_surrogate_pair_becomes_its_character_and_a_lone_one_the_replacement_character(tokenizer):
    assert tokenizer.encode("\ud83d\ude00\ud800") == tokenizer.encode("😀\ufffd")


@byte_level
def test_a_typed_end_of_text_is_encoded_as_text(tokenizer):
    ids = tokenizer.encode("a<|endoftext|>b")
    assert tokenizer.end_of_text not in ids
    assert tokenizer.decode(ids) == "a<|endoftext|>b"


@pytest.mark.parametrize("tokenizer", BYTE_LEVEL[:3], ids=lambda tokenizer: tokenizer.name)
def test_the_end_of_text_is_the_last_id_and_can_be_shown(tokenizer):
    assert tokenizer.end_of_text == tokenizer.vocab_size - 1
    assert tokenizer.decode([tokenizer.end_of_text]) == "<|endoftext|>"


@every_kind
@given(data=st.data())
def test_a_stream_adds_up_to_the_whole_text(tokenizer, data):
    ids = data.draw(st.lists(st.integers(0, tokenizer.vocab_size - 1)))
    stream = StreamDecoder(tokenizer)
    assert "".join([stream.push(id) for id in ids]) + stream.finish() == tokenizer.decode(ids)


@given(data=st.data())
def test_a_stream_of_stories_adds_up_to_the_whole_text(data):
    tokenizer = StoriesTokenizer()
    ids = data.draw(st.lists(st.integers(0, tokenizer.vocab_size - 1) | st.sampled_from(MARKS)))
    stream = StreamDecoder(tokenizer)
    assert "".join([stream.push(id) for id in ids]) + stream.finish() == tokenizer.decode(ids)


def test_the_tokenizer_of_the_stories_is_saved_and_restored(tmp_path):
    save_tokenizer(StoriesTokenizer(), tmp_path)
    assert load_tokenizer(tmp_path).to_dict() == StoriesTokenizer().to_dict()


@given(data=st.binary() | st.text().map(str.encode))
def test_streaming_any_bytes_equals_decoding_them_at_once(data):
    stream = StreamDecoder(ByteTokenizer())
    shown = "".join([stream.push(byte) for byte in data]) + stream.finish()
    assert shown == data.decode(errors="replace")


def test_a_stream_holds_an_emoji_back_until_its_last_byte():
    stream = StreamDecoder(ByteTokenizer())
    assert [stream.push(byte) for byte in "é😀".encode()] == ["", "é", "", "", "", "😀"]


def test_a_stream_that_ends_inside_a_character_yields_a_replacement_character():
    stream = StreamDecoder(ByteTokenizer())
    assert stream.push("😀".encode()[0]) == ""
    assert stream.finish() == "\ufffd"


@given(text=st.text("ab '\n\u2003\x1c中", max_size=200), characters=st.integers(1, 20))
def test_a_text_encoded_in_pieces_has_the_same_ids(text, characters):
    parts = list(chunks(text, characters))
    assert "".join(parts) == text
    for tokenizer in BYTE_LEVEL:
        assert [id for part in parts for id in tokenizer.encode(part)] == tokenizer.encode(text)


@every_kind
def test_a_saved_tokenizer_is_restored(tokenizer, tmp_path):
    save_tokenizer(tokenizer, tmp_path)
    restored = load_tokenizer(tmp_path)
    assert (type(restored), restored.name) == (type(tokenizer), tokenizer.name)
    assert (restored.vocab_size, restored.end_of_text) == (
        tokenizer.vocab_size,
        tokenizer.end_of_text,
    )
    assert restored.encode(TEXT) == tokenizer.encode(TEXT)


@every_kind
def test_a_description_survives_json(tokenizer):
    restored = from_dict(json.loads(json.dumps(tokenizer.to_dict())))
    assert restored.decode(restored.encode(TEXT)) == TEXT


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda text: text[: len(text) // 2], "is damaged and cannot be read"),
        (lambda text: '{"model": {"type": "BPE"}}', "was not written by this program"),
        (lambda text: "[]", "was not written by this program"),
        (lambda text: text.replace('"bpe:', '"bqe:'), "unknown tokenizer 'bqe:300'"),
        (lambda text: text.replace('"merges"', '"merge"'), "damaged"),
        (lambda text: text.replace("t h", "q \u2603"), "joins a token that no earlier merge made"),
        (lambda text: text.replace('size": 300', 'size": 301'), "names 'bpe:300' with 301"),
    ],
)
def test_a_damaged_or_foreign_file_is_refused_by_name(change, complaint, tmp_path):
    path = save_tokenizer(BYTE_LEVEL[2], tmp_path)
    before = path.read_text(encoding="utf-8")
    path.write_text(change(before), encoding="utf-8")
    assert path.read_text(encoding="utf-8") != before
    with pytest.raises(UserError, match=complaint) as refusal:
        load_tokenizer(tmp_path)
    assert str(path) in str(refusal.value)


def test_a_folder_without_a_tokenizer_is_refused_by_name(tmp_path):
    with pytest.raises(UserError, match=r"tokenizer\.json is missing"):
        load_tokenizer(tmp_path)


def test_a_save_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = save_tokenizer(CharTokenizer("abc"), tmp_path)

    def full_disk(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic.os, "fsync", full_disk)
    with pytest.raises(UserError, match="No space left on device"):
        save_tokenizer(CharTokenizer("xyz"), tmp_path)
    assert load_tokenizer(tmp_path).decode([0, 1, 2]) == "abc"
    assert list(tmp_path.iterdir()) == [path]


def test_training_gives_the_same_merges_in_another_process():
    code = (
        "import sys; from gpt2_small.tokenizers.byte_pairs import BytePairTokenizer as B;"
        "print(B.train(sys.stdin.buffer.read().decode(), 300).to_dict())"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], input=TEXT.encode(), capture_output=True, check=True
    )
    assert run.stdout.decode().strip() == str(BYTE_LEVEL[2].to_dict())


def test_trained_byte_pairs_have_exactly_the_requested_size():
    assert (BYTE_LEVEL[2].vocab_size, BYTE_LEVEL[2].name) == (300, "bpe:300")


def test_training_finds_the_most_frequent_pair_first():
    assert BytePairTokenizer.train("xy xy xy ab xy", 258).merges == [("x", "y")]


def test_another_programs_ids_are_kept():
    assert RENUMBERED.encode(TEXT) == [(7 * id) % 300 for id in TRAINED.encode(TEXT)]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda tokens: tokens.pop("!"), "1 of the 256 bytes are missing"),
        (lambda tokens: tokens.update(a=300), "do not run from 0 without a gap"),
        (lambda tokens: tokens.update(a=1), "do not run from 0 without a gap"),
        (lambda tokens: tokens.update(q7=tokens.pop("Ġthe")), "needs 'Ġthe', which is not a token"),
    ],
)
def test_an_incomplete_vocabulary_is_refused(change, complaint):
    vocabulary = dict(TRAINED.vocabulary)
    change(vocabulary)
    with pytest.raises(UserError, match=complaint):
        ByteLevelTokenizer(vocabulary, TRAINED.merges, end_of_text=None)


def test_a_text_too_short_for_the_requested_vocabulary_is_refused_with_the_largest_size():
    with pytest.raises(UserError, match=r"its 4 characters give 259 tokens; use bpe:259"):
        BytePairTokenizer.train("abab", 5000)


def test_an_unknown_character_is_reported_with_its_place():
    for encode in (CharTokenizer("ab ").encode, CharTokenizer("ab ").encode_array):
        with pytest.raises(UserError, match=r"'é' \(U\+00E9, at position 3\).*' ab'"):
            encode("ab é")


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ("gtp2", "did you mean gpt2"),
        ("chr", "did you mean char"),
        ("bytes", "did you mean byte"),
        ("bpee:500", "did you mean bpe"),
        ("sentencepiece", "choose gpt2, byte, char or bpe:SIZE"),
        ("bpe", "needs a whole number"),
        ("bpe:-5", "needs a whole number"),
        ("bpe:²", "needs a whole number"),
        ("bpe:256", "is too small"),
        ("byte:3", "unknown tokenizer 'byte:3'"),
    ],
)
def test_a_wrong_tokenizer_is_refused_with_the_way_out(spec, complaint):
    with pytest.raises(UserError, match=complaint):
        make_tokenizer(spec, TEXT)


@pytest.mark.parametrize("spec", ["gpt2", "byte", "char", "bpe:300"])
def test_a_tokenizer_has_its_requested_name(spec):
    assert make_tokenizer(spec, TEXT).name == spec
