"""Load the tokenizer of a Hugging Face folder, or assume GPT-2's if it has none."""

from pathlib import Path

from gpt2_small.errors import UserError
from gpt2_small.files.hashes import has_manifest, verified
from gpt2_small.tokenizers.gpt2 import GPT2Tokenizer
from gpt2_small.tokenizers.hugging_face import HuggingFaceTokenizer, read_tokenizer_folder
from gpt2_small.tokenizers.hugging_face.engines import engine_of
from gpt2_small.tokenizers.hugging_face.tokenizer_settings import GPT2_CLASS, read_settings
from gpt2_small.tokenizers.protocol import END_OF_TEXT, Tokenizer
from gpt2_small.weights.hub_models import OTHER_TOKENIZERS, TOKENIZER_FILES, VOCABULARIES

# The size of GPT-2's vocabulary, plain and padded to multiples of 8 to 128.
GPT2_ROWS = (50257, 50264, 50272, 50304)


def tokenizer_beside(
    folder: Path, d_vocab: int, *, is_gpt2: bool = False
) -> tuple[Tokenizer, tuple[str, ...]]:
    """Load the tokenizer of a Hugging Face folder, and return remarks on it.

    Files that this program exported are checked against their hashes. A folder without tokenizer
    files gets GPT-2's tokenizer if its vocabulary has GPT-2's size.

    d_vocab: the rows of the model's embedding.
    is_gpt2: whether the folder is that of a model known to use GPT-2's tokenizer.

    Raises UserError for a missing, damaged or unsupported tokenizer.
    """
    files = [name for name in TOKENIZER_FILES if (folder / name).is_file()]
    if has_manifest(folder):
        for name in files:
            verified(folder, name)
    if any(name in files for name in VOCABULARIES[:2]):
        return read_tokenizer_folder(folder), ()
    if is_gpt2:
        return GPT2Tokenizer(), ()
    needed = (
        f"put {VOCABULARIES[0]}, or {VOCABULARIES[1]} and {VOCABULARIES[2]}, beside the weights"
    )
    other = [name for name in files if name in (*OTHER_TOKENIZERS, VOCABULARIES[2])]
    if other:
        raise UserError(
            f"{folder / other[0]} is of a tokenizer that cannot be read from it alone; {needed}"
        )
    if d_vocab not in GPT2_ROWS:
        raise UserError(
            f"{folder} holds no tokenizer ({' or '.join(VOCABULARIES[:2])}), and its vocabulary of "
            f"{d_vocab} is not GPT-2's; {needed}"
        )
    return _assumed(folder, needed)


def _assumed(folder: Path, needed: str) -> tuple[Tokenizer, tuple[str, ...]]:
    """GPT-2's tokenizer, for a folder whose settings do not contradict it."""
    settings = read_settings(folder, None)
    tokens = [*settings.named.values(), *settings.added.values(), *settings.extra]
    names = {str(getattr(token, "content", token)) for token in tokens if token is not None}
    asked = [name for name in ("add_prefix_space", "add_bos_token") if settings.options.get(name)]
    if settings.class_name != GPT2_CLASS or names - {END_OF_TEXT} or asked:
        raise UserError(f"{folder} names another tokenizer, without its vocabulary; {needed}")
    remark = f"{folder} has no tokenizer files; GPT-2's is assumed"
    tokenizer = GPT2Tokenizer()
    if not settings.ends or settings.ends == tokenizer.ends:
        return tokenizer, (remark,)
    unknown = [id for id in settings.ends if id >= tokenizer.vocab_size]
    if unknown:
        raise UserError(
            f"{folder} ends a text with token {unknown[0]}, which GPT-2's tokenizer does not have; "
            f"{needed}"
        )
    named = dict.fromkeys(("bos_token", "eos_token", "unk_token"), END_OF_TEXT)
    engine = engine_of(tokenizer)
    return HuggingFaceTokenizer(engine, named=named, ends=settings.ends), (remark,)
