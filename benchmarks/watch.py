"""Measure how long a learner waits for the verdict of `watch`, and for a whole check.

    python benchmarks/watch.py

It writes the parts of a file one after the other, as a learner would, then makes mistakes in the
largest part, and reads the plain lines of `gpt2-small watch`, which are printed after the search
for known mistakes. In a terminal the part is shown as wrong before that, with its first failed
check.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO

from gpt2_small import binding
from gpt2_small.checker.learner import skeleton as exercises
from gpt2_small.checker.mistakes import edited_reference, mistake
from gpt2_small.checker.parts import PARTS

GPT2_SMALL = [sys.executable, "-m", "gpt2_small"]
MISTAKEN = "MultiHeadAttention"
SCALED = ("query / math.sqrt(self.d_head),", "query * 2.0,")


def seconds_of_watch(folder: Path) -> dict[str, float]:
    """Return the seconds from each save of a correct part to the line that says it is done."""
    file, text = folder / "my_gpt2.py", exercises.skeleton()
    file.write_text(text)
    seconds = {}
    with subprocess.Popen(
        [*GPT2_SMALL, "watch", str(file)],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        wait_for(process.stdout, "are saved in")
        for part in PARTS:
            text = exercises.with_body(text, part, exercises.reference_body(part))
            file.write_text(text)
            started = time.perf_counter()
            wait_for(process.stdout, f"{part} is done!")
            seconds[part] = time.perf_counter() - started
        for kind, wrong in mistaken().items():
            file.write_text(wrong)
            started = time.perf_counter()
            wait_for(process.stdout, f"{MISTAKEN}: wrong")
            seconds[kind] = time.perf_counter() - started
        process.terminate()
    return seconds


def mistaken() -> dict[str, str]:
    """Return the reference with a known mistake, with two, and with an unknown one."""
    scale, mask = map(mistake.find, ("attention-scale-missing", "attention-mask-filled-with-zero"))
    return {
        "a mistake": edited_reference.edited_text(scale),
        "two mistakes": edited_reference.edited_text(scale, mask),
        "an unknown mistake": edited_reference.reference_text().replace(*SCALED),
    }


def wait_for(lines: IO[str], wanted: str) -> None:
    """Read lines up to one with these words."""
    for line in lines:
        if wanted in line:
            return
    sys.exit(f"watch ended without saying {wanted!r}")


def seconds_of_check() -> tuple[float, float]:
    """Return the seconds of a check of the reference: wall clock and CPU."""
    started, before = time.perf_counter(), os.times()
    subprocess.run([*GPT2_SMALL, "check", str(binding.reference_path())], check=True)
    after = os.times()
    processors = sum(after[2:4]) - sum(before[2:4])
    return time.perf_counter() - started, processors


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        for part, seconds in seconds_of_watch(Path(folder)).items():
            print(f"{part:20} {seconds:5.2f} s")
    clock, processors = seconds_of_check()
    load = os.getloadavg()[0]
    print(f"whole check {clock:.1f} s, {processors:.1f} s of CPU time; load {load:.1f}")


if __name__ == "__main__":
    main()
