"""Tokenizer files that `transformers` and `tokenizers` load, giving the same ids."""

import json
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers import Tokenizer as Engine

from gpt2_small.errors import UserError
from gpt2_small.text.bpe import BytePairTokenizer
from gpt2_small.text.files import write_whole
from gpt2_small.text.gpt2_table import byte_letters, ranks_to_merges, verified_ranks
from gpt2_small.text.gpt2_tokenizer import GPT2Tokenizer
from gpt2_small.text.protocol import END_OF_TEXT, Tokenizer
from gpt2_small.text.simple_tokenizers import ByteTokenizer, CharTokenizer
from gpt2_small.text.stories import StoriesTokenizer

Merges = list[tuple[str, str]]


def write_hugging_face_files(
    tokenizer: Tokenizer, folder: str | Path, *, n_ctx: int | None = None
) -> list[Path]:
    """Writes the tokenizer's files into an exported folder and returns their paths.

    Byte-level tokenizers (`gpt2`, `bpe:SIZE`, `byte`) give `vocab.json`, `merges.txt`,
    `tokenizer.json` and `tokenizer_config.json`; `char` and `stories` the last two. `transformers`
    itself reads a typed `<|endoftext|>` as the token.

    Args:
        tokenizer: one whose splitting these files can say.
        folder: must exist.
        n_ctx: the longest input, in tokens, that the files promise.

    Raises:
        UserError: a kind of tokenizer that these files cannot say.
    """
    files: dict[str, Any] = {}
    if isinstance(tokenizer, CharTokenizer):
        engine, loaded_by = _characters(tokenizer), "PreTrainedTokenizerFast"
    elif isinstance(tokenizer, StoriesTokenizer):
        engine, loaded_by = _stories(tokenizer), "PreTrainedTokenizerFast"
    else:
        vocabulary, merges = byte_level(tokenizer)
        engine, loaded_by = _byte_level_engine(vocabulary, merges), "GPT2Tokenizer"
        files["vocab.json"] = json.dumps(_words(tokenizer), ensure_ascii=False)
        files["merges.txt"] = "\n".join(["#version: 0.2", *map(" ".join, merges), ""])
    if _has_end_of_text_token(tokenizer):
        engine.add_special_tokens([AddedToken(END_OF_TEXT, special=True, normalized=False)])
    files["tokenizer.json"] = engine.to_str(pretty=True)
    files["tokenizer_config.json"] = json.dumps(_config(tokenizer, loaded_by, n_ctx), indent=2)
    paths = [Path(folder) / name for name in files]
    for path, text in zip(paths, files.values(), strict=True):
        write_whole(path, text)
    return paths


def read_hugging_face_files(folder: str | Path) -> Tokenizer:
    """The tokenizer of an exported folder, or of any GPT-2 folder with the published table.

    Reads `tokenizer.json`, else `vocab.json` and `merges.txt`.

    Raises:
        UserError: no such files, damaged ones, or a tokenizer of another kind.
    """
    folder = Path(folder)
    names = ("tokenizer.json", "vocab.json")
    path = next((folder / name for name in names if (folder / name).is_file()), None)
    if path is None:
        raise UserError(f"{folder} holds no tokenizer: it needs {' or '.join(names)}.")
    try:
        if verified_ranks(path.read_bytes()) is not None:
            return GPT2Tokenizer(path)
        vocabulary, merges = _vocabulary_and_merges(path)
        candidates = (
            lambda: ByteTokenizer(end_of_text=False),
            ByteTokenizer,
            lambda: BytePairTokenizer(merges),
            lambda: CharTokenizer("".join(vocabulary)),
            StoriesTokenizer,
        )
        for candidate in candidates:
            tokenizer = candidate()
            if _words(tokenizer) == vocabulary:
                return tokenizer
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is damaged or not a GPT-2 tokenizer ({error}).") from None
    raise UserError(
        f"{path} describes a tokenizer of another kind; GPT-2's, byte-level byte pairs without "
        "extra tokens, bytes, characters and the stories' words can be read."
    )


def byte_level(tokenizer: Tokenizer) -> tuple[dict[str, int], Merges]:
    """Vocabulary (without the end of text) and merges in GPT-2's stand-in letters.

    Raises:
        UserError: the tokenizer is not a byte-level one.
    """
    if isinstance(tokenizer, BytePairTokenizer):
        return tokenizer.vocabulary, tokenizer.merges
    letters = byte_letters()
    if isinstance(tokenizer, ByteTokenizer):
        return dict(sorted(letters.items(), key=lambda item: item[1])), []
    if isinstance(tokenizer, GPT2Tokenizer):
        letter_of = {byte: letter for letter, byte in letters.items()}

        def word(token: bytes) -> str:
            return "".join(letter_of[byte] for byte in token)

        ranks = sorted(tokenizer.ranks.items(), key=lambda item: item[1])
        merges = [(word(left), word(right)) for left, right in ranks_to_merges(tokenizer.ranks)]
        return {word(token): rank for token, rank in ranks}, merges
    raise UserError(
        f"tokenizer {tokenizer.name!r} cannot be written as Hugging Face files; "
        "gpt2, bpe:SIZE, byte, char and stories can."
    )


def _byte_level_engine(vocabulary: dict[str, int], merges: Merges) -> Engine:
    engine = Engine(models.BPE(vocab=vocabulary, merges=merges))
    engine.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    engine.decoder = decoders.ByteLevel()
    return engine


def _characters(tokenizer: CharTokenizer) -> Engine:
    engine = Engine(models.WordLevel(vocab=_words(tokenizer)))
    engine.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), behavior="isolated")
    engine.decoder = decoders.Fuse()
    return engine


def _stories(tokenizer: StoriesTokenizer) -> Engine:
    """One word or mark at a time, a line break before each line, curly quotation marks."""
    engine = Engine(models.WordLevel(vocab=_words(tokenizer)))
    engine.normalizer = normalizers.Sequence(
        [normalizers.Replace(Regex(r'(?:^|(?<=\s))"'), "“"), normalizers.Replace('"', "”")]
    )
    words = Regex(r"\n|\w+|[^\w\s]")
    engine.pre_tokenizer = pre_tokenizers.Split(words, behavior="removed", invert=True)
    engine.post_processor = processors.TemplateProcessing(
        single="\n $A", special_tokens=[("\n", tokenizer.end_of_text)]
    )
    spaces = [(r"^(?=\w|“)", " "), None, (r"(?<=“) ", ""), (r"(?<=\n) ", ""), (r"^[\n ]", "")]
    engine.decoder = decoders.Sequence(
        [
            decoders.Fuse() if space is None else decoders.Replace(Regex(space[0]), space[1])
            for space in spaces
        ]
    )
    return engine


def _has_end_of_text_token(tokenizer: Tokenizer) -> bool:
    """Whether it has a token of its own for the end of a text; the stories' is a line break."""
    return tokenizer.end_of_text is not None and not isinstance(tokenizer, StoriesTokenizer)


def _config(tokenizer: Tokenizer, loaded_by: str, n_ctx: int | None) -> dict[str, Any]:
    end_of_text = END_OF_TEXT if _has_end_of_text_token(tokenizer) else None
    config = {
        "tokenizer_class": loaded_by,
        "add_prefix_space": False,
        "bos_token": end_of_text,
        "eos_token": end_of_text,
        "unk_token": end_of_text,
        "clean_up_tokenization_spaces": False,
    }
    return config if n_ctx is None else config | {"model_max_length": n_ctx}


def _vocabulary_and_merges(path: Path) -> tuple[dict[str, int], Merges]:
    content = json.loads(path.read_text(encoding="utf-8"))
    if path.name == "vocab.json":
        lines = (path.parent / "merges.txt").read_text(encoding="utf-8").splitlines()
        merges = [line for line in lines if line and not line.startswith("#version")]
        vocabulary = content
    else:
        model = content["model"]
        vocabulary, merges = dict(model["vocab"]), model.get("merges", [])
        vocabulary |= {token["content"]: token["id"] for token in content["added_tokens"]}
    pairs = [merge.split(" ") if isinstance(merge, str) else merge for merge in merges]
    return vocabulary, [(left, right) for left, right in pairs]


def _words(tokenizer: Tokenizer) -> dict[str, int]:
    if isinstance(tokenizer, CharTokenizer):
        return {character: id for id, character in enumerate(tokenizer.characters)}
    if isinstance(tokenizer, StoriesTokenizer):
        tales = tokenizer.words(range(tokenizer.vocab_size))
        return {"\n" if id == tokenizer.end_of_text else word: id for id, word in enumerate(tales)}
    words, _ = byte_level(tokenizer)
    return words if tokenizer.end_of_text is None else words | {END_OF_TEXT: tokenizer.end_of_text}
