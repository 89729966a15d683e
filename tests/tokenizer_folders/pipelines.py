"""Build folders whose tokenizer.json normalizes, splits or surrounds texts in other ways."""

import json
from pathlib import Path

import tokenizers
from tokenizers import AddedToken, Regex, normalizers, pre_tokenizers, processors

from .added_tokens import start_answer_end_and_pad_added
from .files import (
    END,
    built,
    change_json,
    engine,
    gpt2,
    id_of,
    save_fast,
    whole,
    write_json,
)


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
