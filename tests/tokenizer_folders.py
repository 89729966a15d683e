"""Tokenizer files in the shapes that GPT-2 folders of others have."""

import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import tokenizers
import transformers
from tokenizers import AddedToken, Regex, models, normalizers, pre_tokenizers, processors

TEXT = "The cat sat on the mat; it's 3,141 cats.\n\n  Héllo 中文 😀\t\r\n" * 5
END, START, ANSWER_END, PAD = "<|endoftext|>", "<|startoftext|>", "<|answer_end|>", "<|pad|>"
OTHERS_SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]

Maker = Callable[[Path], None]
BUILT: dict[str, Maker] = {}
REFUSED: dict[str, tuple[Maker, str]] = {}


@cache
def base_files() -> tuple[str, str]:
    """vocab.json and merges.txt of a small GPT-2: bytes, some merges, the end of text last."""
    trained = tokenizers.ByteLevelBPETokenizer()
    trained.train_from_iterator([TEXT], vocab_size=300, special_tokens=[])
    model = json.loads(trained.to_str())["model"]
    vocabulary = model["vocab"] | {END: len(model["vocab"])}
    merges = "\n".join(["#version: 0.2", *map(" ".join, model["merges"]), ""])
    return json.dumps(vocabulary), merges


def write_base(folder: Path) -> None:
    vocabulary, merges = base_files()
    (folder / "vocab.json").write_text(vocabulary)
    (folder / "merges.txt").write_text(merges)


def gpt2(folder: Path, **options: Any) -> transformers.GPT2Tokenizer:
    """transformers' own tokenizer of the small base."""
    source = folder / "base"
    source.mkdir()
    write_base(source)
    tokenizer: transformers.GPT2Tokenizer
    tokenizer = transformers.GPT2Tokenizer.from_pretrained(source, **options)
    shutil.rmtree(source)
    return tokenizer


def whole(folder: Path) -> dict[str, Any]:
    """tokenizer.json of the small base, as the library describes it."""
    described: dict[str, Any] = json.loads(gpt2(folder).backend_tokenizer.to_str())
    return described


def engine(folder: Path) -> tokenizers.Tokenizer:
    return tokenizers.Tokenizer.from_str(json.dumps(whole(folder)))


def id_of(backend: tokenizers.Tokenizer, token: str) -> int:
    id = backend.token_to_id(token)
    assert id is not None
    return id


def write_json(folder: Path, name: str, content: Any) -> None:
    (folder / name).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def save_fast(folder: Path, backend: tokenizers.Tokenizer, **named: Any) -> None:
    named = {"eos_token": END, "bos_token": END, "unk_token": END} | named
    fast: Any = transformers.PreTrainedTokenizerFast  # its constructor has no types
    fast = fast(tokenizer_object=backend, **named)
    fast.save_pretrained(folder)


def change_json(folder: Path, name: str, **changes: Any) -> None:
    content = json.loads((folder / name).read_text(encoding="utf-8"))
    write_json(folder, name, content | changes)


def built(make: Maker) -> Maker:
    BUILT[make.__name__] = make
    return make


def refused(sentence: str) -> Callable[[Maker], Maker]:
    def register(make: Maker) -> Maker:
        REFUSED[make.__name__] = make, sentence
        return make

    return register


@built
def as_transformers_saves_it(folder: Path) -> None:
    gpt2(folder).save_pretrained(folder)


@built
def start_answer_end_and_pad_added(folder: Path) -> None:
    tokenizer = gpt2(folder)
    names: dict[str, Any] = {"bos_token": START, "eos_token": ANSWER_END, "pad_token": PAD}
    tokenizer.add_special_tokens(names)
    tokenizer.save_pretrained(folder)


@built
def pad_alone_added(folder: Path) -> None:
    tokenizer = gpt2(folder)
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    tokenizer.save_pretrained(folder)


@built
def ordinary_words_added(folder: Path) -> None:
    tokenizer = gpt2(folder)
    tokenizer.add_tokens(["cat", "mat;", "3,1", " sat", "日本", "né"])
    tokenizer.save_pretrained(folder)


@built
def added_tokens_that_take_the_spaces_beside_them(folder: Path) -> None:
    tokenizer = gpt2(folder)
    words = [
        AddedToken("cat", lstrip=True),
        AddedToken("the", rstrip=True, single_word=True),
        AddedToken("<sep>", lstrip=True, rstrip=True, special=True),
    ]
    tokenizer.add_tokens(words)
    tokenizer.save_pretrained(folder)


@built
def prefix_space_of_the_class(folder: Path) -> None:
    gpt2(folder, add_prefix_space=True).save_pretrained(folder)


@built
def vocabulary_and_merges_alone(folder: Path) -> None:
    write_base(folder)


@built
def vocabulary_with_prefix_space(folder: Path) -> None:
    write_base(folder)
    write_json(folder, "tokenizer_config.json", {"add_prefix_space": True})


@built
def vocabulary_with_bos_before_each_text(folder: Path) -> None:
    write_base(folder)
    write_json(
        folder, "tokenizer_config.json", {"add_bos_token": True, "tokenizer_class": "GPT2Tokenizer"}
    )


@built
def vocabulary_with_bos_and_eos_around_each_text(folder: Path) -> None:
    write_base(folder)
    write_json(folder, "tokenizer_config.json", {"add_bos_token": True, "add_eos_token": True})
    write_json(folder, "special_tokens_map.json", {"bos_token": START, "eos_token": END})
    write_json(folder, "added_tokens.json", {START: len(json.loads(base_files()[0]))})


@built
def added_tokens_json_of_old_versions(folder: Path) -> None:
    write_base(folder)
    size = len(json.loads(base_files()[0]))
    names = {"<|PAD|>": size + 3, "<|SEP|>": size + 4, "<|UNK|>": size + 2, "<|EOS|>": size + 1}
    write_json(folder, "added_tokens.json", {**names, "<|BOS|>": size})
    special = {"bos_token": "<|BOS|>", "eos_token": "<|EOS|>", "pad_token": "<|PAD|>"}
    write_json(folder, "special_tokens_map.json", special)


@built
def special_tokens_map_with_flags(folder: Path) -> None:
    write_base(folder)
    flags = {"lstrip": False, "normalized": True, "rstrip": False, "single_word": False}
    names = {"bos_token": START, "eos_token": END, "pad_token": PAD}
    special = {name: {"content": token, **flags} for name, token in names.items()}
    write_json(folder, "special_tokens_map.json", special)


@built
def additional_special_tokens_of_old_versions(folder: Path) -> None:
    write_base(folder)
    special = {"eos_token": END, "additional_special_tokens": ["<user>", "<system>"]}
    write_json(folder, "special_tokens_map.json", special)


@built
def added_tokens_decoder_without_tokenizer_json(folder: Path) -> None:
    tokenizer = gpt2(folder)
    tokenizer.add_special_tokens({"bos_token": START, "pad_token": PAD})
    tokenizer.add_tokens(["cats"])
    tokenizer.save_pretrained(folder)
    (folder / "tokenizer.json").unlink()
    write_base(folder)


@built
def end_of_text_after_the_vocabulary(folder: Path) -> None:
    write_base(folder)
    vocabulary = json.loads((folder / "vocab.json").read_text())
    size = vocabulary.pop(END)
    write_json(folder, "vocab.json", vocabulary)
    write_json(folder, "added_tokens.json", {END: size})


@built
def special_tokens_before_all_others(folder: Path) -> None:
    trained = tokenizers.ByteLevelBPETokenizer()
    trained.train_from_iterator([TEXT], vocab_size=300, special_tokens=OTHERS_SPECIAL)
    trained.save_model(str(folder))
    names: dict[str, Any] = dict(bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    tokenizer = transformers.GPT2Tokenizer.from_pretrained(folder, pad_token="<pad>", **names)
    tokenizer.save_pretrained(folder)


@built
def its_vocabulary_alone(folder: Path) -> None:
    special_tokens_before_all_others(folder)
    (folder / "tokenizer.json").unlink()


@built
def eos_in_the_models_config(folder: Path) -> None:
    gpt2(folder).save_pretrained(folder)
    write_json(folder, "config.json", {"eos_token_id": 7})


@built
def several_ends_in_the_generations_config(folder: Path) -> None:
    start_answer_end_and_pad_added(folder)
    write_json(folder, "config.json", {"eos_token_id": 0})
    write_json(folder, "generation_config.json", {"eos_token_id": [7, 9]})


@built
def eos_switched_off(folder: Path) -> None:
    gpt2(folder).save_pretrained(folder)
    change_json(folder, "tokenizer_config.json", eos_token=None)


@built
def lower_case(folder: Path) -> None:
    backend = engine(folder)
    backend.normalizer = normalizers.Lowercase()
    save_fast(folder, backend)


@built
def several_normalizers_and_added_words(folder: Path) -> None:
    backend = engine(folder)
    steps = [normalizers.NFKC(), normalizers.Lowercase(), normalizers.Replace("mat", "rug")]
    backend.normalizer = normalizers.Sequence(steps)
    backend.add_tokens([AddedToken("CATS", normalized=True), AddedToken("SAT", normalized=False)])
    save_fast(folder, backend)


@built
def single_digits(folder: Path) -> None:
    backend = engine(folder)
    steps = [pre_tokenizers.Digits(True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    backend.pre_tokenizer = pre_tokenizers.Sequence(steps)
    save_fast(folder, backend)


@built
def another_pattern(folder: Path) -> None:
    backend = engine(folder)
    pattern = Regex(r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s+(?!\S)|\s+")
    steps = [
        pre_tokenizers.Split(pattern, behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ]
    backend.pre_tokenizer = pre_tokenizers.Sequence(steps)
    save_fast(folder, backend)


@built
def prefix_space_of_the_file(folder: Path) -> None:
    backend = engine(folder)
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    save_fast(folder, backend)


@built
def bos_by_a_template(folder: Path) -> None:
    backend = engine(folder)
    id = backend.token_to_id(END)
    template = processors.TemplateProcessing(single=f"{END} $A", special_tokens=[(END, id)])
    backend.post_processor = template
    save_fast(folder, backend)


@built
def bos_by_a_template_of_the_class(folder: Path) -> None:
    bos_by_a_template(folder)
    change_json(folder, "tokenizer_config.json", tokenizer_class="GPT2Tokenizer")


@built
def both_ends_as_roberta_puts_them(folder: Path) -> None:
    backend = engine(folder)
    backend.add_special_tokens(["<s>", "</s>"])
    backend.post_processor = processors.RobertaProcessing(
        ("</s>", id_of(backend, "</s>")), ("<s>", id_of(backend, "<s>")), add_prefix_space=False
    )
    save_fast(folder, backend, bos_token="<s>", eos_token="</s>")


@built
def whole_words_before_merges(folder: Path) -> None:
    content = whole(folder)
    content["model"]["ignore_merges"] = True
    content["model"]["vocab"]["ĠSAT"] = len(content["model"]["vocab"])
    save_fast(folder, tokenizers.Tokenizer.from_str(json.dumps(content)))


@built
def special_tokens_split_on_purpose(folder: Path) -> None:
    gpt2(folder, split_special_tokens=True).save_pretrained(folder)


@built
def names_of_its_own(folder: Path) -> None:
    save_fast(folder, engine(folder), image_token="<image>", extra_special_tokens=["<a>", "<b>"])


@built
def named_extra_tokens(folder: Path) -> None:
    gpt2(folder).save_pretrained(folder)
    extra = {"user_token": "<u>", "bot_token": "<b>"}
    change_json(folder, "tokenizer_config.json", extra_special_tokens=extra)


@built
def padding_and_truncation_in_the_file(folder: Path) -> None:
    backend = engine(folder)
    backend.enable_padding(pad_id=0, pad_token="[PAD]", length=40)
    backend.enable_truncation(max_length=5)
    save_fast(folder, backend)


@built
def tokenizer_json_alone(folder: Path) -> None:
    write_json(folder, "tokenizer.json", whole(folder))


@built
def the_fast_class_by_its_old_name(folder: Path) -> None:
    start_answer_end_and_pad_added(folder)
    change_json(folder, "tokenizer_config.json", tokenizer_class="GPT2TokenizerFast")


@built
def unknown_bytes_are_one_token(folder: Path) -> None:
    content = whole(folder)
    vocabulary = content["model"]["vocab"]
    size = len(vocabulary)
    vocabulary["[UNK]"] = vocabulary.pop("ÿ")
    assert len(vocabulary) == size
    content["model"]["unk_token"] = "[UNK]"
    save_fast(folder, tokenizers.Tokenizer.from_str(json.dumps(content)), unk_token="[UNK]")


@built
def an_end_that_is_no_special_token(folder: Path) -> None:
    gpt2(folder, eos_token="cat").save_pretrained(folder)


@refused("a normalizer, which the class GPT2Tokenizer drops in transformers 5")
def lower_case_of_the_class(folder: Path) -> None:
    trained = tokenizers.ByteLevelBPETokenizer(lowercase=True)
    trained.train_from_iterator([TEXT], vocab_size=300, special_tokens=[END])
    trained.save(str(folder / "tokenizer.json"))


@refused("add_prefix_space true, which the class GPT2Tokenizer drops")
def prefix_space_that_the_class_drops(folder: Path) -> None:
    prefix_space_of_the_file(folder)
    change_json(folder, "tokenizer_config.json", tokenizer_class="GPT2Tokenizer")


@refused("the pre-tokenizer Sequence, which the class GPT2Tokenizer drops")
def single_digits_that_the_class_drops(folder: Path) -> None:
    single_digits(folder)
    change_json(folder, "tokenizer_config.json", tokenizer_class="GPT2Tokenizer")


@refused("without GPT-2's pattern, which the class GPT2Tokenizer drops")
def another_pattern_that_the_class_drops(folder: Path) -> None:
    content = whole(folder)
    content["pre_tokenizer"]["use_regex"] = False
    write_json(folder, "tokenizer.json", content)


@refused("ignore_merges, which the class GPT2Tokenizer drops")
def whole_words_that_the_class_drops(folder: Path) -> None:
    whole_words_before_merges(folder)
    change_json(folder, "tokenizer_config.json", tokenizer_class="GPT2Tokenizer")


@refused(r"tokens that tokenizer_config\.json does not list")
def added_tokens_that_the_class_drops(folder: Path) -> None:
    gpt2(folder).save_pretrained(folder)
    content = json.loads((folder / "tokenizer.json").read_text())
    token = {**content["added_tokens"][0], "id": len(content["model"]["vocab"]), "content": "<x>"}
    listed = {str(each.pop("id")): each for each in json.loads(json.dumps(content))["added_tokens"]}
    change_json(folder, "tokenizer_config.json", added_tokens_decoder=listed)
    content["added_tokens"].append(token)
    write_json(folder, "tokenizer.json", content)


@refused("'<far>' has the id 999 in the files, but transformers gives it 296")
def added_tokens_with_a_gap(folder: Path) -> None:
    write_base(folder)
    write_json(folder, "added_tokens.json", {"<far>": 999})


@refused("draws merges at random")
def dropout(folder: Path) -> None:
    content = whole(folder)
    content["model"]["dropout"] = 0.1
    save_fast(folder, tokenizers.Tokenizer.from_str(json.dumps(content)))


@refused("of the 256 bytes are no tokens")
def missing_bytes(folder: Path) -> None:
    content = whole(folder)
    content["model"]["vocab"] = {"a": 0, "b": 1, END: 2}
    content["model"]["merges"] = []
    content["added_tokens"][0]["id"] = 2
    save_fast(folder, tokenizers.Tokenizer.from_str(json.dumps(content)))


@refused(r"of another kind \(model BPE, decoder Metaspace\)")
def byte_pairs_of_characters(folder: Path) -> None:
    backend = tokenizers.SentencePieceBPETokenizer()
    backend.train_from_iterator([TEXT], vocab_size=100, special_tokens=[END])
    save_fast(folder, tokenizers.Tokenizer.from_str(backend.to_str()))


@refused(r"of another kind \(model WordPiece, decoder WordPiece\)")
def word_pieces(folder: Path) -> None:
    backend = tokenizers.BertWordPieceTokenizer()
    backend.train_from_iterator([TEXT], vocab_size=100)
    save_fast(folder, tokenizers.Tokenizer.from_str(backend.to_str()))


@refused(r"of another kind \(model Unigram")
def unigrams(folder: Path) -> None:
    backend = tokenizers.Tokenizer(models.Unigram([("<unk>", 0.0), ("a", -1.0)], unk_id=0))
    save_fast(folder, backend)


@refused("its class is BertTokenizer")
def the_class_of_another_model(folder: Path) -> None:
    gpt2(folder).save_pretrained(folder)
    change_json(folder, "tokenizer_config.json", tokenizer_class="BertTokenizerFast")


@refused("its class is RobertaTokenizer")
def the_class_in_the_models_config(folder: Path) -> None:
    write_base(folder)
    write_json(folder, "config.json", {"tokenizer_class": "RobertaTokenizer"})


@refused(r"names a program of its own \(auto_map\)")
def a_program_of_its_own(folder: Path) -> None:
    gpt2(folder).save_pretrained(folder)
    change_json(folder, "tokenizer_config.json", auto_map={"AutoTokenizer": ["x.Tok", None]})


@refused("by the version of transformers")
def files_by_version(folder: Path) -> None:
    gpt2(folder).save_pretrained(folder)
    files = ["tokenizer.json", "tokenizer.4.0.0.json"]
    change_json(folder, "tokenizer_config.json", fast_tokenizer_files=files)


@refused(r"merges\.txt is missing")
def vocabulary_without_merges(folder: Path) -> None:
    write_base(folder)
    (folder / "merges.txt").unlink()


@refused("needs tokenizer.json, which is not there")
def fast_class_without_its_file(folder: Path) -> None:
    write_base(folder)
    write_json(folder, "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast"})


@refused("the tokenizers library cannot read it")
def merges_of_unknown_tokens(folder: Path) -> None:
    write_base(folder)
    (folder / "merges.txt").write_text("#version: 0.2\nq zz\n")


@refused(r"has the eos_token_id '</s>'; give a token's id")
def eos_by_name(folder: Path) -> None:
    gpt2(folder).save_pretrained(folder)
    write_json(folder, "generation_config.json", {"eos_token_id": "</s>"})


@refused("is no token; give a string")
def eos_that_is_a_number(folder: Path) -> None:
    gpt2(folder).save_pretrained(folder)
    change_json(folder, "tokenizer_config.json", eos_token=50256)


@refused("its add_prefix_space is 1; give true or false")
def switch_that_is_a_number(folder: Path) -> None:
    write_base(folder)
    write_json(folder, "tokenizer_config.json", {"add_prefix_space": 1})


@refused("'' is no token; give a string")
def token_without_a_name(folder: Path) -> None:
    gpt2(folder).save_pretrained(folder)
    change_json(folder, "tokenizer_config.json", eos_token="")
