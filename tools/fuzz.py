"""Run random command lines and open damaged files: each must end without a traceback, in time.

    python tools/fuzz.py                                2,000 command lines, 500 damaged files
    python tools/fuzz.py --commands 50 --files 0 --seed 7
    python tools/fuzz.py --only train,prepare
    python tools/fuzz.py --patience 5                   on a busy machine

The commands and their options are read from the program itself, so that new ones are covered. Every
case runs in a process and a folder of its own, from a seed that is printed with a failure. A
command that does not end by itself (a server, a long training) is interrupted as by Ctrl-C, and
must then end. Exit code 1 when anything failed.
"""

import argparse
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "helpers" / "fixtures"))
sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "helpers" / "programs"))

from fuzzing.cases import INTERRUPT_AFTER, Case, failure_of
from fuzzing.commands import commands, random_words
from fuzzing.damage import damaged_case
from fuzzing.fixtures import make_fixtures


@dataclass(frozen=True)
class Fuzz:
    """Random cases, each run in a copy of one folder of fixtures."""

    seed: int
    fixtures: Path
    scratch: Path
    only: tuple[str, ...] = ()
    patience: float = 1.0
    interrupt_after: float = INTERRUPT_AFTER

    def command_case(self, number: int) -> Case:
        rng = random.Random(f"command {self.seed} {number}")
        known = commands()
        command = known[rng.choice([name for name in known if not self.only or name in self.only])]
        words = [command.name, *random_words(command, rng)]
        return Case(words, self.copy(f"command-{number}"), f"command {self.seed} {number}")

    def file_case(self, number: int) -> Case:
        rng = random.Random(f"file {self.seed} {number}")
        return damaged_case(self.copy(f"file-{number}"), rng, f"file {self.seed} {number}")

    def copy(self, name: str) -> Path:
        return Path(shutil.copytree(self.fixtures, self.scratch / name, symlinks=True))

    def failures(self, cases: Iterator[Case]) -> Iterator[str]:
        """Run each case; yield a line for each that failed."""
        for case in cases:
            failure = failure_of(case, self.patience, self.interrupt_after)
            shutil.rmtree(case.folder, ignore_errors=True)
            if failure is not None:
                yield f"{case.about}: {case.arguments!r}: {failure}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--commands", type=int, default=2000)
    parser.add_argument("--files", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--only", default="", help="commands, with commas between them")
    parser.add_argument("--patience", type=float, default=1.0, help="factor of the time limit")
    arguments = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        fixtures = Path(folder) / "fixtures"
        fixtures.mkdir()
        make_fixtures(fixtures)
        only = tuple(filter(None, arguments.only.split(",")))
        fuzz = Fuzz(arguments.seed, fixtures, Path(folder), only, arguments.patience)
        first = arguments.first
        for count, make in (
            (arguments.commands, fuzz.command_case),
            (arguments.files, fuzz.file_case),
        ):
            for failure in fuzz.failures(map(make, range(first, first + count))):
                failed += 1
                print(failure, flush=True)
    print(f"{arguments.commands} command lines, {arguments.files} damaged files: {failed} failed")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
