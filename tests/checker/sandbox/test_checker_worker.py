"""Test misbehaving files: one error with its line, and all other results."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from checking import LIMITS, SHORT, check_text, line_of, reference_with, warm_checker
from forked import wait_until
from processes import is_running

from gpt2_small.checker.mistakes.edited_reference import reference_text
from gpt2_small.checker.sandbox.client import Checker
from gpt2_small.errors import UserError

FIRST = "        centered = residual - reduce("
MARK = "  # here"

# Code at the start of LayerNorm's forward, and the message about it.
STATEMENTS = {
    "while True: pass": "did not finish within",
    "import time; time.sleep(1000)": "did not finish within",
    "exit()": "calls exit(); return or raise instead",
    "import os; os._exit(0)": "ends the Python process",
    "import ctypes; ctypes.string_at(0)": "crashes the Python interpreter (SIGSEGV)",
    "import os, signal; os.kill(os.getpid(), signal.SIGABRT)": "crashes the Python interpreter",
    "a = torch.ones(1 << 34)": "needs more memory than it may have",
    "a = bytearray(1 << 33)": "needs more memory than it may have",
    "self.forward(residual)": "infinite recursion",
    "input('?')": "waits for input",
    "raise KeyboardInterrupt": "ends with KeyboardInterrupt",
    "raise ValueError('a\\nb')": "ValueError: a b",
    "residual.view(7)": "RuntimeError: ",
    "unknown_name": "NameError: name 'unknown_name' is not defined",
    "residual = residual.double()": "has the dtype float64; it should be float32",
    "residual = residual.to('cuda')": "",
    "return [residual]": "is a list where a tensor is needed",
    "return residual, residual": "is a tuple where a tensor is needed",
    "return None": "is None; is a return missing?",
    "return residual[:, :3]": "has the shape [2 3 24]",
}
HANGING = {
    "while True: pass": SHORT,
    "import time; time.sleep(1000)": replace(LIMITS, wall_seconds=2.0),
}
WITHOUT_LINE = {"import os; os._exit(0)", "raise KeyboardInterrupt"}


@pytest.mark.parametrize("statement", STATEMENTS)
def test_misbehaviour_of_a_part_is_reported_in_one_sentence_with_its_line(
    tmp_path: Path, statement: str
) -> None:
    text = reference_with((FIRST, f"        {statement}{MARK}\n{FIRST}"))
    limits = HANGING.get(statement, LIMITS)
    verdict = check_text(tmp_path, text, "LayerNorm", naming=False, limits=limits)
    (first, *_) = [result for result in verdict.of("LayerNorm") if result.status == "failed"]
    assert STATEMENTS[statement] in first.message
    assert "\n" not in first.message
    if statement in WITHOUT_LINE:
        before = text[: text.index("    def forward(\n        self, residual")]
        assert first.line == before.count("\n") + 1
    elif "return" not in statement and "double" not in statement:
        assert first.line == line_of(text, statement + MARK)
    assert verdict.exit_code == 1


def test_the_line_of_a_call_to_a_helper_without_return_is_quoted(tmp_path: Path) -> None:
    text = reference_with(
        (
            "post = self.hook_post(gelu_tanh(self.hook_pre(pre)))\n"
            "        output = F.linear(post, self.W_out.T, self.b_out)\n"
            "        return self.output_dropout(output)\n",
            "post = gelu_tanh(pre)\n",
        )
    )
    verdict = check_text(tmp_path, text, "MLP")
    assert verdict.reports["MLP"].location[1].endswith("post = gelu_tanh(pre)")


def test_a_crash_in_one_part_leaves_the_other_parts_results(tmp_path: Path) -> None:
    crash = "        import ctypes; ctypes.string_at(0)\n"
    verdict = check_text(tmp_path, reference_with((FIRST, crash + FIRST)), "LayerNorm", "Embedding")
    assert verdict.state_of("LayerNorm") == "failed"
    assert verdict.state_of("Embedding") == "passed"


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("def f(:", "line {line}: invalid syntax"),
        ("unknown_name", "line {line}: NameError"),
        ("import no_such_package_anywhere", "line {line}: ModuleNotFoundError"),
        ("exit()", "line {line}: the file calls exit()"),
        ("import os; os._exit(0)", "it ends the Python process"),
        ("import ctypes; ctypes.string_at(0)", "line {line}: while the file is run, it crashes"),
        ("while True: pass", "line {line}: while the file is run, it did not finish within"),
    ],
)
def test_a_file_that_cannot_run_is_reported_in_one_sentence(
    tmp_path: Path, line: str, sentence: str
) -> None:
    text = reference_text() + line + "\n"
    limits = SHORT if line == "while True: pass" else LIMITS
    verdict = check_text(tmp_path, text, "LayerNorm", limits=limits)
    assert verdict.error is not None
    assert sentence.format(line=text.count("\n")) in verdict.error
    assert str(tmp_path / "my_gpt2.py") in verdict.error
    assert verdict.results == []
    assert verdict.exit_code == 2


def test_a_crash_leaves_the_results_of_the_checks_before_and_after_it(tmp_path: Path) -> None:
    crash = "        if self.training: import ctypes; ctypes.string_at(0)\n"
    verdict = check_text(tmp_path, reference_with((FIRST, crash + FIRST)), "LayerNorm")
    statuses = [result.status for result in verdict.results]
    first = statuses.index("failed")
    assert set(statuses[:first]) == {"passed"}
    assert "passed" in statuses[first + 1 :]


def test_after_a_hang_the_later_checks_wait(tmp_path: Path) -> None:
    hang = "        while self.training: pass\n"
    text = reference_with((FIRST, hang + FIRST))
    verdict = check_text(tmp_path, text, "LayerNorm", naming=False, limits=SHORT)
    statuses = [result.status for result in verdict.results]
    assert statuses.count("failed") == 1
    assert set(statuses[statuses.index("failed") + 1 :]) == {"waiting"}
    assert set(statuses[: statuses.index("failed")]) == {"passed"}


def test_a_hang_that_swallows_exceptions_is_ended(tmp_path: Path) -> None:
    hang = "        while True:\n            try:\n                while True: pass\n"
    hang += "            except BaseException: pass\n"
    text = reference_with((FIRST, hang + FIRST))
    verdict = check_text(tmp_path, text, "LayerNorm", naming=False, limits=SHORT)
    assert "did not finish within" in verdict.results[0].message


def test_a_running_thread_does_not_delay_the_verdict(tmp_path: Path) -> None:
    thread = "        import threading, time\n        if threading.active_count() < 5:\n"
    thread += "            threading.Thread(target=lambda: time.sleep(1000)).start()\n"
    verdict = check_text(tmp_path, reference_with((FIRST, thread + FIRST)), "LayerNorm")
    assert verdict.exit_code == 0


def test_a_process_that_a_part_starts_ends_with_the_check(tmp_path: Path) -> None:
    note = tmp_path / "process"
    start = "        import subprocess\n        process = subprocess.Popen(['sleep', '1000'])\n"
    start += f"        open({str(note)!r}, 'a').write(f'{{process.pid}} ')\n"
    check_text(tmp_path, reference_with((FIRST, start + FIRST)), "LayerNorm")
    processes = [int(process) for process in note.read_text().split()]
    assert processes
    wait_until(lambda: not any(map(is_running, processes)))


def test_a_parts_output_is_captured(tmp_path: Path, capfd) -> None:
    said = "        print('mean', residual.mean().item())\n"
    verdict = check_text(tmp_path, reference_with((FIRST, said + FIRST)), "LayerNorm")
    assert verdict.exit_code == 0
    assert verdict.reports["LayerNorm"].printed.startswith("mean ")
    assert capfd.readouterr() == ("", "")


def test_endless_printing_is_reported(tmp_path: Path) -> None:
    text = reference_with((FIRST, "        while True: print('x' * 10_000)\n" + FIRST))
    verdict = check_text(tmp_path, text, "LayerNorm", naming=False)
    message = verdict.results[0].message
    assert "prints without end" in message or "did not finish" in message


def test_a_file_cannot_change_the_reference_for_the_next_file(tmp_path: Path) -> None:
    spoil = "\ntorch.set_default_dtype(torch.float64)\nF.gelu = None\ntorch.manual_seed = None\n"
    check_text(tmp_path, reference_text() + spoil, "MLP", "LayerNorm", naming=False)
    assert check_text(tmp_path, reference_text(), "MLP").exit_code == 0


def test_a_missing_part_counts_as_not_written_and_a_similar_name_is_mentioned(
    tmp_path: Path,
) -> None:
    text = reference_text().replace("class LayerNorm(", "class Layernorm(")
    text = text.replace("= LayerNorm(config)", "= Layernorm(config)")
    verdict = check_text(tmp_path, text, "LayerNorm", "Embedding")
    assert {result.status for result in verdict.of("LayerNorm")} == {"not_written"}
    line = line_of(text, "class Layernorm(")
    assert f"Layernorm (line {line}) looks like it" in verdict.of("LayerNorm")[0].message
    assert verdict.state_of("Embedding") == "passed"


def test_a_part_that_raises_not_implemented_counts_as_not_written(tmp_path: Path) -> None:
    text = reference_with((FIRST, f"        raise NotImplementedError\n{FIRST}"))
    verdict = check_text(tmp_path, text, "LayerNorm", "TransformerBlock")
    assert {result.status for result in verdict.of("LayerNorm")} == {"not_written"}
    assert verdict.state_of("TransformerBlock") == "passed"
    assert verdict.exit_code == 1


def test_a_wrong_signature_is_reported_with_the_line(tmp_path: Path) -> None:
    text = reference_with(
        (
            '    def forward(\n        self, residual: Float[Tensor, "batch seq d_model"]\n'
            '    ) -> Float[Tensor, "batch seq d_model"]:\n        centered',
            "    def forward(self):  # here\n        centered",
        )
    )
    (first, *_) = check_text(tmp_path, text, "LayerNorm").results
    assert "takes 1 positional argument but 2 were given" in first.message
    assert first.line == line_of(text, "    def forward(self):  # here")


def test_the_text_that_was_hashed_is_the_text_that_is_checked(tmp_path: Path) -> None:
    import hashlib

    verdict = check_text(tmp_path, reference_text(), "Embedding")
    assert verdict.sha256 == hashlib.sha256(reference_text().encode()).hexdigest()


def test_a_missing_file_raises_a_user_error(tmp_path: Path) -> None:
    (tmp_path / "my_gpt2.py").write_text("")
    with pytest.raises(UserError, match=r"did you mean .*my_gpt2\.py"):
        warm_checker().check(tmp_path / "my_gtp2.py")


def test_a_killed_server_is_reported_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "my_gpt2.py"
    path.write_text(reference_text())
    with Checker() as checker:
        checker.warm()
        os.kill(checker._server.pid, signal.SIGKILL)
        checker._server.wait()
        assert checker.check(path, ["Embedding"]).exit_code == 0


def test_a_step_in_two_processes_is_checked_with_the_part(tmp_path: Path) -> None:
    late = (
        "        with synchronised(model, last=number == len(batches)):\n",
        "        with synchronised(model, last=False):\n",
    )
    verdict = check_text(tmp_path, reference_with(late), "train_step", naming=False)
    (failed,) = [result for result in verdict.results if result.status == "failed"]
    assert failed.check == "two processes make the same step as one"
    assert "the gradients were not exchanged" in failed.message


def test_control_characters_of_a_file_reach_no_terminal(tmp_path: Path) -> None:
    statement = "print('\\x1b[2J'); raise ValueError('\\x1b[31m \\ud800 \\u202e')"
    text = reference_with((FIRST, f"        {statement}\n{FIRST}"))
    verdict = check_text(tmp_path, text, "LayerNorm")
    assert r"ValueError: \x1b[31m \ud800 \u202e" in verdict.reason("LayerNorm")
    assert verdict.reports["LayerNorm"].printed.startswith(r"\x1b[2J")


def test_a_result_with_too_many_elements_fails_with_their_number(tmp_path: Path) -> None:
    text = reference_with((FIRST, f"        return torch.zeros(1).expand(10**12)\n{FIRST}"))
    verdict = check_text(tmp_path, text, "LayerNorm", naming=False)
    assert "has 1,000,000,000,000 elements, which is too many" in verdict.reason("LayerNorm")
