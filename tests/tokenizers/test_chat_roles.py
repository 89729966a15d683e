"""Test the roles of a conversation as tokens of any tokenizer."""

from random import Random

import pytest
import tokenizer_folders

from gpt2_small.errors import UserError
from gpt2_small.stories import StoriesTokenizer, generate_story, join_words
from gpt2_small.tokenizers.chat_roles import ASSISTANT, USER, with_roles
from gpt2_small.tokenizers.hugging_face import read_tokenizer_folder, write_tokenizer_files
from gpt2_small.tokenizers.protocol import StreamDecoder, split_at_names
from gpt2_small.tokenizers.registry import (
    BytePairTokenizer,
    ByteTokenizer,
    CharTokenizer,
    GPT2Tokenizer,
    check_spec,
    from_dict,
    load_tokenizer,
    make_tokenizer,
    save_tokenizer,
)

TEXT = "The cat sat on the mat; it's 3,141 cats. <|user|> Héllo 中文 😀\n" * 5
TYPED = "<|user|>me<|assistant|><|endoftext|>"
BASES = [
    GPT2Tokenizer(),
    BytePairTokenizer.train(TEXT, 280),
    ByteTokenizer(),
    ByteTokenizer(end_of_text=False),
    CharTokenizer(TEXT + TYPED),
]
every_base = pytest.mark.parametrize("base", BASES, ids=lambda base: base.name)


def test_gpt2_chat_has_the_roles_after_the_end_of_text_and_padded_rows():
    tokenizer = make_tokenizer("gpt2-chat")
    assert tokenizer.name == "gpt2-chat"
    assert tuple(tokenizer.roles) == (50257, 50258)
    assert (tokenizer.end_of_text, tokenizer.ends) == (50256, {50256})
    assert (tokenizer.vocab_size, tokenizer.d_vocab) == (50259, 50304)


@every_base
def test_the_roles_follow_the_last_id(base):
    tokenizer = with_roles(base)
    assert tokenizer.name == f"{base.name}-chat"
    assert tuple(tokenizer.roles) == (base.vocab_size, base.vocab_size + 1)
    assert with_roles(tokenizer) is tokenizer


def test_a_tokenizer_without_an_end_of_text_gets_one_after_the_roles():
    tokenizer = with_roles(CharTokenizer("ab"))
    assert (tokenizer.end_of_text, tokenizer.vocab_size) == (4, 5)
    assert tokenizer.ends == {4}
    assert tokenizer.decode([0, 2, 1, 3, 4]) == "a<|user|>b<|assistant|><|endoftext|>"


@every_base
def test_a_typed_role_is_encoded_as_plain_characters(base):
    tokenizer = with_roles(base)
    ids = tokenizer.encode(TYPED)
    assert ids == tokenizer.encode_ordinary(TYPED) == base.encode(TYPED)
    assert max(ids) < base.vocab_size
    assert tokenizer.end_of_text not in ids
    assert tokenizer.decode(ids) == TYPED


@every_base
def test_special_tokens_in_a_text_are_recognised_only_on_request(base):
    tokenizer = with_roles(base)
    user, assistant = tokenizer.roles
    expected = [user, *base.encode("me"), assistant, tokenizer.end_of_text]
    assert tokenizer.encode_special(TYPED) == expected
    assert tokenizer.decode(expected) == TYPED


@every_base
def test_a_streamed_conversation_equals_the_decoded_one(base):
    tokenizer = with_roles(base)
    ids = tokenizer.encode_special(f"{USER}{TEXT}{ASSISTANT}{TEXT}")
    stream = StreamDecoder(tokenizer)
    assert "".join(map(stream.push, ids)) + stream.finish() == tokenizer.decode(ids)


def test_streamed_stories_with_roles_equal_the_decoded_ones():
    tokenizer = with_roles(StoriesTokenizer())
    tale = join_words(generate_story(Random(0)))
    user, assistant = tokenizer.roles
    ids = [user, *tokenizer.encode(tale), 0, assistant, *tokenizer.encode_ordinary(tale), 0]
    stream = StreamDecoder(tokenizer)
    assert "".join(map(stream.push, ids)) + stream.finish() == tokenizer.decode(ids)


@pytest.mark.parametrize("base", [*BASES, StoriesTokenizer()], ids=lambda base: base.name)
def test_a_tokenizer_with_roles_is_saved_with_a_run_and_restored(base, tmp_path):
    tokenizer = with_roles(base)
    save_tokenizer(tokenizer, tmp_path)
    restored = load_tokenizer(tmp_path)
    assert restored.to_dict() == tokenizer.to_dict()
    assert restored.roles == tokenizer.roles


@pytest.mark.parametrize(
    "data",
    [
        {"name": "gpt2-chat"},
        {"name": "gpt2-chat", "base": {"name": "byte", "end_of_text": True}},
        {"name": "gpt2-chat-chat", "base": {"name": "gpt2-chat", "base": {"name": "gpt2"}}},
    ],
)
def test_a_damaged_description_is_refused(data):
    with pytest.raises(UserError, match="damaged"):
        from_dict(data)


@pytest.mark.parametrize("spec", ["gpt2-chat", "byte-chat", "char-chat", "bpe:300-chat"])
def test_any_tokenizers_name_with_chat_appended_is_accepted(spec):
    check_spec(spec)


def test_an_unknown_name_with_chat_appended_is_refused():
    with pytest.raises(UserError, match="did you mean gpt2"):
        check_spec("gpt3-chat")


def test_a_folders_own_tokenizer_gets_the_roles_after_its_last_id(tmp_path):
    tokenizer_folders.start_answer_end_and_pad_added(tmp_path)
    base = read_tokenizer_folder(tmp_path)
    tokenizer = with_roles(base)
    assert tokenizer.name == "hugging-face-chat"
    assert tuple(tokenizer.roles) == (base.vocab_size, base.vocab_size + 1)
    assert tokenizer.ends == base.ends
    assert tokenizer.encode(TYPED) == base.encode(TYPED)
    save_tokenizer(tokenizer, tmp_path)
    assert load_tokenizer(tmp_path).to_dict() == tokenizer.to_dict()
    (tmp_path / "out").mkdir()
    write_tokenizer_files(tokenizer, tmp_path / "out")
    assert read_tokenizer_folder(tmp_path / "out").to_dict() == tokenizer.to_dict()


def test_role_tokens_of_a_folder_are_used_as_roles(tmp_path):
    source = tokenizer_folders.gpt2(tmp_path)
    source.add_special_tokens({"additional_special_tokens": [ASSISTANT, USER]})
    source.save_pretrained(tmp_path)
    tokenizer = read_tokenizer_folder(tmp_path)
    assert list(tokenizer.roles) == source.convert_tokens_to_ids([USER, ASSISTANT])
    assert with_roles(tokenizer) is tokenizer


def test_a_role_that_is_an_ordinary_token_is_refused(tmp_path):
    source = tokenizer_folders.gpt2(tmp_path)
    source.add_tokens([USER])
    source.save_pretrained(tmp_path)
    with pytest.raises(UserError, match=r"has <\|user\|>, but not"):
        with_roles(read_tokenizer_folder(tmp_path))


def test_of_two_special_tokens_with_a_common_prefix_the_longer_is_matched():
    text = "a<|im|>b<|im|>|>c"
    for names in (["<|im|>", "<|im|>|>"], ["<|im|>|>", "<|im|>"]):
        assert split_at_names(text, names) == ["a", "<|im|>", "b", "<|im|>|>", "c"]
