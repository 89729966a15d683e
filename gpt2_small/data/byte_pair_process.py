"""Train byte pairs in a subprocess, which Ctrl-C and SIGTERM end at once.

The training is native code that ignores signals and may run out of memory.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from gpt2_small.errors import UserError
from gpt2_small.tokenizers.byte_pairs import BytePairTokenizer

SMALL_CHARACTERS = 2**18  # trained in about a second, without a subprocess


def train_byte_pairs(text: str, vocab_size: int) -> BytePairTokenizer:
    """Run `BytePairTokenizer.train` in a subprocess.

    Raises:
        UserError: as `BytePairTokenizer.train`, or the process was killed.
    """
    if len(text) <= SMALL_CHARACTERS:
        return BytePairTokenizer.train(text, vocab_size)
    with tempfile.TemporaryDirectory(prefix="gpt2-small-") as folder:
        source, result = Path(folder) / "text", Path(folder) / "result.json"
        source.write_bytes(text.encode("utf-8", "surrogatepass"))
        command = [sys.executable, "-m", __name__, str(source), str(vocab_size), str(result)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        process = subprocess.Popen(command, env=environment, start_new_session=True)
        try:
            process.wait()
        finally:
            process.kill()
            process.wait()
        if not result.exists():
            raise UserError(
                f"training bpe:{vocab_size} failed (exit code {process.returncode}), perhaps "
                "because memory ran out; give a smaller size or less text"
            )
        answer = json.loads(result.read_text(encoding="utf-8"))
    if "error" in answer:
        raise UserError(answer["error"])
    return BytePairTokenizer.from_dict(answer)


def _main(source: str, vocab_size: str, result: str) -> None:
    text = Path(source).read_bytes().decode("utf-8", "surrogatepass")
    try:
        answer = BytePairTokenizer.train(text, int(vocab_size)).to_dict()
    except UserError as error:
        answer = {"error": str(error)}
    aside = Path(result).with_suffix(".part")
    aside.write_text(json.dumps(answer), encoding="utf-8")
    aside.rename(result)


if __name__ == "__main__":
    _main(*sys.argv[1:])
