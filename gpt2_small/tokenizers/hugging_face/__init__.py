"""Read and write the tokenizer files of Hugging Face folders."""

from gpt2_small.tokenizers.hugging_face.reading import read_tokenizer_folder
from gpt2_small.tokenizers.hugging_face.tokenizer import HuggingFaceTokenizer
from gpt2_small.tokenizers.hugging_face.writing import write_tokenizer_files

__all__ = ["HuggingFaceTokenizer", "read_tokenizer_folder", "write_tokenizer_files"]
