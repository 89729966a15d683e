"""Measure the speed of GPT-2's tokenizer on a long text, ours against its engine, tiktoken.

    python benchmarks/encode.py
    python benchmarks/encode.py --text FILE --megabytes 100

Ours returns an array of 16-bit ids, as stored in a shard; tiktoken returns lists of integers. All
alternate in every round; before that they must agree on every token.
"""

import argparse
import os
import statistics
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from random import Random
from typing import Any

import tiktoken
from measuring import circumstances, console, interleaved, median_ratio, show, write

from gpt2_small.stories import generate_story, join_words
from gpt2_small.tokenizers.gpt2 import CHUNK_CHARACTERS, GPT2Tokenizer
from gpt2_small.tokenizers.pretoken_split import PATTERN, chunks

ONE, BATCH = "tiktoken", "tiktoken batch"
SETTINGS = {
    "ours": f"GPT2Tokenizer.encode_array; it cuts the text every {CHUNK_CHARACTERS:,} characters",
    ONE: "encode_ordinary of the whole text, with GPT-2's table and pattern",
    BATCH: "encode_ordinary_batch of the pieces that ours cuts, cut beforehand",
}
Encode = Callable[[], Any]


def stories(size: int) -> str:
    """Return stories of the grammar, of this many bytes."""
    random, written, length = Random(0), [], 0
    while length < size:
        written.append(join_words(generate_story(random)) + "\n")
        length += len(written[-1])
    return "".join(written).encode()[:size].decode(errors="ignore")


def text_of(file: Path, size: int) -> str:
    """Return about this many bytes from the beginning of a file."""
    try:
        with file.open("rb") as opened:
            data = opened.read(size)
        return data[: data.rfind(b"\n") + 1 or None].decode()
    except (OSError, UnicodeDecodeError) as error:
        print(f"{file} cannot be read as text ({error}); give a file in UTF-8", file=sys.stderr)
        sys.exit(2)


def contestants(text: str, threads: int) -> dict[str, Encode]:
    """Return the encoders by name, with one thread and with several."""
    ours = GPT2Tokenizer()
    engine = tiktoken.Encoding(
        "gpt2", pat_str=PATTERN, mergeable_ranks=ours.ranks, special_tokens={"<|endoftext|>": 50256}
    )
    pieces = list(chunks(text, CHUNK_CHARACTERS))
    found: dict[str, Encode] = {
        "ours": lambda: ours.encode_array(text),
        ONE: lambda: engine.encode_ordinary(text),
    }
    if threads > 1:
        found[f"ours, {threads} threads"] = lambda: ours.encode_array(text, threads=threads)
    found[f"{BATCH}, {named(threads)}"] = lambda: engine.encode_ordinary_batch(
        pieces, num_threads=threads
    )
    return found


def named(threads: int) -> str:
    return "1 thread" if threads == 1 else f"{threads} threads"


def tokens_of(found: dict[str, Encode]) -> int:
    """Return the number of tokens of every encoder; exit if two differ."""
    tokens = {name: flat(encode()) for name, encode in found.items()}
    expected = tokens[ONE]
    for name, given in tokens.items():
        if given != expected:
            print(f"{name} and {ONE} differ in their tokens", file=sys.stderr)
            sys.exit(1)
    return len(expected)


def flat(tokens: Iterable[Any]) -> list[int]:
    return [int(id) for part in tokens for id in (part if isinstance(part, list) else [part])]


def rows_of(seconds: dict[str, list[float]], size: int) -> list[dict[str, Any]]:
    rows = []
    batch = next(name for name in seconds if name.startswith(BATCH))
    for name, values in seconds.items():
        median = statistics.median(values)
        rows.append(
            {
                "encoder": name,
                "MB/s": round(size / median / 1e6, 1),
                "seconds": round(median, 3),
                "of tiktoken": f"{median_ratio(seconds[ONE], values):.2f}x",
                "of its batch": f"{median_ratio(seconds[batch], values):.2f}x",
            }
        )
    return rows


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--text", type=Path, help="a UTF-8 file (default: stories of the grammar)")
    parser.add_argument("--megabytes", type=float, default=10.0, help="size of the text")
    parser.add_argument(
        "--threads", type=int, default=os.cpu_count(), help="the larger thread count"
    )
    parser.add_argument("--rounds", type=int, default=7, help="measured calls of each")
    parser.add_argument("--json", type=Path, help="write the results to this file")
    return parser.parse_args()


def main() -> None:
    arguments = parse()
    results: dict[str, Any] = {"circumstances": circumstances("cpu")}
    results["arguments"] = {key: str(value) for key, value in vars(arguments).items()}
    console.print_json(data=results["circumstances"])
    for name, setting in SETTINGS.items():
        console.print(f"{name}: {setting}")
    wanted = int(1e6 * arguments.megabytes)
    text = stories(wanted) if arguments.text is None else text_of(arguments.text, wanted)
    found, size = contestants(text, arguments.threads), len(text.encode())
    results["tokens"], results["bytes"] = tokens_of(found), size
    seconds = interleaved(found, arguments.rounds, "cpu")
    rows = rows_of(seconds, size)
    source = "stories" if arguments.text is None else arguments.text.name
    show(f"{size / 1e6:.1f} MB of {source}, {results['tokens']:,} tokens", rows)
    results["encoding"] = {"seconds": seconds, "table": rows}
    write(arguments.json, results)


if __name__ == "__main__":
    main()
