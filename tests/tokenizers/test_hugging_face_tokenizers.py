"""Test exported tokenizer files with `transformers`."""

import json
import shutil
from random import Random

import pytest
import tokenizers
from default_share import slowly

from gpt2_small.errors import UserError
from gpt2_small.stories import StoriesTokenizer, generate_story, join_words
from gpt2_small.tokenizers.hugging_face import read_tokenizer_folder, write_tokenizer_files
from gpt2_small.tokenizers.registry import (
    ByteLevelTokenizer,
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
OTHERS_SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]


def made_by_another_program() -> ByteLevelTokenizer:
    """Return a tokenizer with its special tokens first, as in many GPT-2s of other languages."""
    theirs = tokenizers.ByteLevelBPETokenizer()
    theirs.train_from_iterator([TEXT], vocab_size=300, special_tokens=OTHERS_SPECIAL)
    model = json.loads(theirs.to_str())["model"]
    return ByteLevelTokenizer(
        model["vocab"], [tuple(pair) for pair in model["merges"]], end_of_text="</s>"
    )


BYTE_LEVEL.append(made_by_another_program())
EVERY_KIND = [*BYTE_LEVEL, CharTokenizer(TEXT)]


# 50,000 tokens: a second.
GPT2_SLOWLY = [slowly(t) if isinstance(t, GPT2Tokenizer) else t for t in EVERY_KIND]
every_kind = pytest.mark.parametrize("tokenizer", EVERY_KIND, ids=lambda tokenizer: tokenizer.name)
byte_level = pytest.mark.parametrize("tokenizer", BYTE_LEVEL, ids=lambda tokenizer: tokenizer.name)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Return each tokenizer's exported folder."""
    written = {}
    for tokenizer in EVERY_KIND:
        written[tokenizer] = tmp_path_factory.mktemp("exported")
        write_tokenizer_files(tokenizer, written[tokenizer])
    return written


@pytest.fixture
def without_tokenizer_json(folders, tmp_path):
    """Return a function that exports a tokenizer with only its vocabulary and merges."""

    def strip(tokenizer):
        folder = shutil.copytree(folders[tokenizer], tmp_path / "stripped")
        (folder / "tokenizer.json").unlink()
        return folder

    return strip


@every_kind
def test_auto_tokenizer_gives_the_same_ids_text_and_end(tokenizer, folders):
    theirs = transformers.AutoTokenizer.from_pretrained(folders[tokenizer])
    ids = tokenizer.encode(TEXT)
    assert theirs(TEXT)["input_ids"] == ids
    assert theirs.decode(ids) == TEXT
    assert theirs.eos_token_id == tokenizer.end_of_text
    has_unknown = isinstance(tokenizer, CharTokenizer)
    assert len(theirs) == tokenizer.vocab_size + has_unknown


def test_transformers_gives_an_unknown_character_an_id_beyond_the_models(tmp_path):
    tokenizer = CharTokenizer("xyz")
    write_tokenizer_files(tokenizer, tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert theirs.encode("x<é") == [0, 3, 3]
    assert theirs.unk_token_id == tokenizer.vocab_size
    theirs.save_pretrained(tmp_path / "again")
    assert read_tokenizer_folder(tmp_path / "again").to_dict() == tokenizer.to_dict()


@byte_level
def test_vocabulary_and_merges_alone_give_the_same_ids(tokenizer, without_tokenizer_json):
    theirs = transformers.GPT2Tokenizer.from_pretrained(without_tokenizer_json(tokenizer))
    assert theirs(TEXT)["input_ids"] == tokenizer.encode(TEXT)


def test_the_exported_tokenizer_states_the_context_length(tmp_path):
    write_tokenizer_files(ByteTokenizer(), tmp_path, n_ctx=77)
    assert transformers.AutoTokenizer.from_pretrained(tmp_path).model_max_length == 77


@pytest.mark.parametrize("tokenizer", GPT2_SLOWLY, ids=lambda tokenizer: tokenizer.name)
def test_an_exported_folder_is_read_as_the_same_tokenizer(tokenizer, folders):
    assert read_tokenizer_folder(folders[tokenizer]).to_dict() == tokenizer.to_dict()


@pytest.mark.parametrize("tokenizer", GPT2_SLOWLY[:-1], ids=lambda tokenizer: tokenizer.name)
def test_vocabulary_and_merges_alone_are_read_as_the_same_tokenizer(
    tokenizer, without_tokenizer_json
):
    restored = read_tokenizer_folder(without_tokenizer_json(tokenizer))
    if tokenizer.name != "byte-level":  # vocab and merges do not mark its other special tokens
        assert restored.to_dict() == tokenizer.to_dict()
    assert restored.encode(TEXT) == tokenizer.encode(TEXT)
    assert restored.ends == tokenizer.ends


def test_a_folder_saved_again_by_transformers_is_read(tmp_path):
    write_tokenizer_files(BYTE_LEVEL[1], tmp_path)
    transformers.AutoTokenizer.from_pretrained(tmp_path).save_pretrained(tmp_path / "again")
    assert read_tokenizer_folder(tmp_path / "again").to_dict() == BYTE_LEVEL[1].to_dict()


def saved_by_transformers(folder):
    """Return the files of a GPT-2 in another language, as transformers saves them."""
    write_tokenizer_files(BYTE_LEVEL[-1], folder)
    settings = {"eos_token": "</s>", "bos_token": "<s>", "unk_token": "<unk>"}
    transformers.GPT2Tokenizer.from_pretrained(folder, **settings).save_pretrained(folder / "saved")
    return folder / "saved"


def test_a_vocabulary_of_another_program_is_read_with_its_own_ids_and_end(tmp_path):
    folder = saved_by_transformers(tmp_path)
    tokenizer = read_tokenizer_folder(folder)
    ids = transformers.AutoTokenizer.from_pretrained(folder)(TEXT)["input_ids"]
    assert tokenizer.encode(TEXT) == ids
    assert tokenizer.decode(ids) == TEXT
    assert (tokenizer.start_of_text, tokenizer.end_of_text) == (0, 2)


@pytest.mark.parametrize(
    ("file", "content", "end"),
    [
        ("config.json", {"eos_token_id": 2}, 2),
        ("config.json", {"eos_token_id": 50256}, None),
        ("special_tokens_map.json", {"eos_token": {"content": "<s>", "lstrip": False}}, 0),
    ],
)
def test_the_end_of_text_is_read_from_a_file_beside_the_vocabulary(file, content, end, tmp_path):
    write_tokenizer_files(BYTE_LEVEL[-1], tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).unlink()
    (tmp_path / file).write_text(json.dumps(content))
    assert read_tokenizer_folder(tmp_path).end_of_text == end


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("pre_tokenizer", {"add_prefix_space": True}),
        ("pre_tokenizer", {"type": "Metaspace"}),
        ("pre_tokenizer", {"use_regex": False}),
        ("model", {"ignore_merges": True}),
        ("model", {"end_of_word_suffix": "</w>"}),
        ("model", {"type": "Unigram"}),
    ],
)
def test_byte_pairs_with_another_split_pattern_are_refused(part, change, tmp_path):
    path = saved_by_transformers(tmp_path) / "tokenizer.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content[part] |= change
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(UserError, match=r"drops in transformers 5|of another kind|cannot read it"):
        read_tokenizer_folder(path.parent)


def test_a_gap_in_another_programs_ids_is_reported_with_the_file(tmp_path):
    path = saved_by_transformers(tmp_path) / "tokenizer.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["added_tokens"].append({**content["added_tokens"][0], "content": "<extra>", "id": 999})
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(UserError, match="'<extra>' has the id 999 in the files"):
        read_tokenizer_folder(path.parent)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("{", "damaged"),
        ("[]", "damaged"),
        ('{"model": {"vocab": {"a": 0, "bc": 1}}, "added_tokens": []}', "of another kind"),
        ('{"model": [], "added_tokens": []}', "damaged"),
        ('{"added_tokens": []}', "damaged"),
    ],
)
def test_files_of_another_tokenizer_are_refused_by_name(content, complaint, tmp_path):
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(UserError, match=complaint) as refusal:
        read_tokenizer_folder(tmp_path)
    assert str(tmp_path / "tokenizer.json") in str(refusal.value)


def test_a_folder_without_tokenizer_files_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"needs tokenizer\.json or vocab\.json"):
        read_tokenizer_folder(tmp_path)


def test_a_tokenizer_without_an_export_format_is_refused_and_nothing_is_written(tmp_path):
    class Strange:
        name, vocab_size, end_of_text = "strange", 3, None

    with pytest.raises(UserError, match="'strange' cannot be written as Hugging Face files"):
        write_tokenizer_files(Strange(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_exported_stories_give_the_same_ids_and_text(tmp_path):
    tokenizer, rng = StoriesTokenizer(), Random(0)
    write_tokenizer_files(tokenizer, tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    tales = [join_words(generate_story(rng)) for _ in range(60)]
    for text in ["", "Nell", *tales, "\n".join(tales[:2])]:
        ids = tokenizer.encode(text)
        assert theirs.encode(text) == ids
        assert theirs.decode(ids) == text
    assert read_tokenizer_folder(tmp_path).to_dict() == tokenizer.to_dict()
