"""Build folders whose tokenizer is refused, each with the sentence that refuses it."""

import json
from pathlib import Path

import tokenizers
from tokenizers import models

from .files import (
    END,
    TEXT,
    change_json,
    gpt2,
    refused,
    save_fast,
    whole,
    write_base,
    write_json,
)
from .pipelines import prefix_space_of_the_file, single_digits, whole_words_before_merges


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


@refused(r"names its own code \(auto_map\)")
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
