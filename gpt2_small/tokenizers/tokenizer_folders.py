"""Open the tokenizer of a run, a prepared folder or a Hugging Face folder."""

from pathlib import Path

from gpt2_small.errors import UserError
from gpt2_small.files.json_files import read_json_object
from gpt2_small.tokenizers.hugging_face import read_tokenizer_folder
from gpt2_small.tokenizers.protocol import Tokenizer
from gpt2_small.tokenizers.registry import FILE_NAME, FORMAT, check_spec, load_tokenizer


def tokenizer_or_name(given: str | None) -> Tokenizer | str | None:
    """The tokenizer of a folder; anything else as it is.

    The name of a tokenizer is never taken for a folder; a folder called `byte` is `./byte`.
    Raises UserError for a folder without a tokenizer, or with an unsupported one.
    """
    if given is None or _is_name(given) or not Path(given).is_dir():
        return given
    path = Path(given) / FILE_NAME
    if path.is_file() and read_json_object(path).get("format") == FORMAT:
        return load_tokenizer(given)
    return read_tokenizer_folder(given)


def _is_name(given: str) -> bool:
    try:
        check_spec(given)
    except UserError:
        return False
    return True
