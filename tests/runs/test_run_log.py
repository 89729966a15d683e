"""Test a run's log: reading and writing, and the error for damage."""

import pytest

from gpt2_small.errors import UserError
from gpt2_small.runs import (
    append_log,
    read_log,
    trim_log,
)


def test_nonfinite_numbers_are_logged_as_null(tmp_path):
    append_log(tmp_path, {"step": 1, "loss": 2.5})
    append_log(tmp_path, {"step": 2, "loss": float("nan")})
    assert read_log(tmp_path) == [{"step": 1, "loss": 2.5}, {"step": 2, "loss": None}]


def test_a_log_line_truncated_by_a_crash_is_ignored_and_overwritten_on_resuming(tmp_path):
    for step in (1, 2, 3):
        append_log(tmp_path, {"step": step})
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 4, "lo')
    assert [record["step"] for record in read_log(tmp_path)] == [1, 2, 3]
    trim_log(tmp_path, last_step=2)
    append_log(tmp_path, {"step": 3})
    assert [record["step"] for record in read_log(tmp_path)] == [1, 2, 3]


def test_a_damaged_line_inside_the_log_is_named_by_its_number(tmp_path):
    (tmp_path / "log.jsonl").write_text('{"step": 1}\n{"step": \n{"step": 3}\n')
    with pytest.raises(UserError, match=r"log\.jsonl, line 2, is damaged"):
        read_log(tmp_path)
