"""Test which files a report may replace."""

import json
import re
from contextlib import suppress
from pathlib import Path

import pytest

import gpt2_small
from gpt2_small.checker import report_formats as reports
from gpt2_small.checker.grading import heat_map
from gpt2_small.checker.grading.grading import Grading
from gpt2_small.checker.grading.reports import as_csv
from gpt2_small.checker.parts import PARTS
from gpt2_small.checker.sandbox.task import Limits
from gpt2_small.checker.verdict import Result, Verdict
from gpt2_small.errors import UserError
from gpt2_small.files.report_files import writable

GRADING = Grading(seed=1, seconds=1, limits=Limits(), jobs=1)
VERDICT = Verdict("my_gpt2.py", "0" * 64, [Result(p, "It holds", "passed") for p in PARTS])


@pytest.mark.parametrize("form", [*reports.FORMATS, "csv"])
def test_a_new_report_may_replace_an_earlier_one_or_an_empty_file(
    tmp_path: Path, form: str
) -> None:
    path = tmp_path / "report"
    path.touch()
    writable(**{form: path})
    as_text = reports.FORMATS.get(form, lambda _: as_csv(GRADING))
    path.write_text(as_text(VERDICT))
    writable(**{form: path})


@pytest.mark.parametrize("suffix", [".png", ".pdf", ".svg"])
def test_a_new_heat_map_may_replace_an_earlier_one(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"class{suffix}"
    heat_map.write(path, GRADING.rows)
    writable(picture=path)


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("json", '{"format": "gpt2-small-run/1"}'),
        ("json", '{"format": "gpt2-small-shards/1"}'),
        ("json", '{"solution": "the answer"}'),
        ("json", "student,points,parts,LayerNorm\n"),
        ("gradescope", '{"tests": []}'),
        ("csv", "student,points,remarks\n"),
        ("picture", '"""Plot with Matplotlib: gpt2-small: the grades of a class."""'),
        ("picture", "%PDF-1.4 Matplotlib"),
    ],
)
def test_a_report_does_not_replace_a_file_of_another_kind(
    tmp_path: Path, form: str, text: str
) -> None:
    path = tmp_path / "file"
    path.write_text(text)
    with pytest.raises(UserError, match="exists and is not a report of this kind"):
        writable(**{form: path})


def test_every_format_of_a_report_is_known_and_no_other(tmp_path: Path) -> None:
    path, accepted = tmp_path / "file", set()
    for format_ in formats_in_the_package():
        path.write_text(json.dumps({"format": format_}))
        with suppress(UserError):
            writable(json=path)
            accepted.add(format_.removeprefix("gpt2-small-").split("/")[0])
    assert accepted == {"chat", "evaluation", "grades", "lm-eval", "plan", "sample"}


def formats_in_the_package() -> set[str]:
    texts = [path.read_text() for path in Path(gpt2_small.__file__).parent.rglob("*.py")]
    return set(re.findall(r'"(gpt2-small-[a-z-]+/\d+)"', "\n".join(texts)))


@pytest.mark.parametrize("second", ["a.json", "folder/../a.json", "link.json"])
def test_two_reports_need_two_files(tmp_path: Path, second: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.json").symlink_to("a.json")
    with pytest.raises(UserError, match="is given for two reports; give each its own file"):
        writable(json=tmp_path / "a.json", junit=tmp_path / second)
