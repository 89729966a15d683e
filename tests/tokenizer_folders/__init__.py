"""Build folders of tokenizer files in the formats that other programs' GPT-2 folders have."""

from . import refused as refused  # registers the folders of every module
from .added_tokens import pad_alone_added, start_answer_end_and_pad_added
from .files import BUILT, REFUSED, TEXT, change_json, gpt2, write_json

__all__ = [
    "BUILT",
    "REFUSED",
    "TEXT",
    "change_json",
    "gpt2",
    "pad_alone_added",
    "start_answer_end_and_pad_added",
    "write_json",
]
