"""Test gpt2-small sample: flags, printed text, interrupts and refusals."""

import json
import signal
import sys

import pytest
from against_reference import edited_reference
from command_line import Pipe, Terminal, exit_code_of
from forked import the_forks, wait_until
from sample_command import NEW_TOKENS, expected
from small_continuations import small_model
from small_gpt2s import hugging_face_gpt2, our_gpt2, saved_run

from gpt2_small import binding, cli
from gpt2_small.commands.screens.sample_output import ContinuationPrinter
from gpt2_small.generation import (
    LoadedModel,
    SamplingOptions,
    Stream,
)
from gpt2_small.generation.terminal_text import visible
from gpt2_small.tokenizers.registry import ByteTokenizer


def test_the_prompt_is_printed_before_its_continuation(sample, run_folder):
    (row,) = expected(run_folder, "HELLO")
    code, text, beside = sample("--prompt", "HELLO")
    assert (code, text) == (0, f"HELLO{row.text}\n")
    assert "run, step 3, by the reference, solution.py; cpu, seed 3" in beside


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", 0.0),
        ("top_k", 1),
        ("top_p", 1e-6),
        ("min_p", 1.0),
        ("typical_p", 1e-6),
        ("repetition_penalty", 1e6),
        ("frequency_penalty", 1e6),
        ("presence_penalty", 1e6),
        ("no_repeat_ngram_size", 1),
        ("max_new_tokens", 9),
        ("seed", 8),
    ],
)
def test_every_flag_reaches_the_sampling_options(sample, run_folder, name, value):
    (row,) = expected(run_folder, "HELLO", **{name: value})
    _, text, _ = sample("--prompt", "HELLO", "--" + name.replace("_", "-"), value)
    assert text == f"HELLO{row.text}\n"
    assert row.text != expected(run_folder, "HELLO")[0].text


@pytest.mark.parametrize("ending", [b"", b"\n", b"\r\n"])
def test_a_prompt_is_read_from_a_pipe_without_the_line_break_at_its_end(sample, ending):
    assert sample(stdin=Pipe(b"HELLO" + ending)) == sample("--prompt", "HELLO")


def test_any_bytes_can_be_piped_in_and_other_white_space_is_kept(sample, tmp_path):
    model = saved_run(tmp_path / "bytes", our_gpt2(d_vocab=257), ByteTokenizer()).folder
    path = tmp_path / "out.json"
    code, text, _ = sample("--json", path, model=model, stdin=Pipe(b"\xff\xf0\x9f\xa6 \t\n"))
    assert code == 0
    assert text.startswith("\ufffd\ufffd \t")
    assert json.loads(path.read_text())["prompt"].encode(errors="surrogateescape") == (
        b"\xff\xf0\x9f\xa6 \t"
    )


def test_several_samples_are_printed_in_order_and_their_number_does_not_change_the_first(sample):
    _, one, _ = sample("--prompt", "HELLO")
    _, two, _ = sample("--prompt", "HELLO", "--num-samples", 2)
    assert two.startswith(f"--- 1 of 2\n{one}--- 2 of 2\nHELLO")
    assert two.count("HELLO") == 2


def test_without_a_seed_texts_differ_and_the_seed_is_printed(
    sample, run_folder, monkeypatch, capsys
):
    words = ["--model", run_folder, "--prompt", "A", "--max-new-tokens", NEW_TOKENS]
    texts, seeds = set(), set()
    for _ in range(3):
        exit_code_of(monkeypatch, "sample", *words)
        text, beside = capsys.readouterr()
        texts.add(text)
        seeds.add(int(beside.split()[-1]))
    assert len(texts) == len(seeds) == 3
    (again,) = expected(run_folder, "A", seed=seeds.pop())
    assert f"A{again.text}\n" in texts


def test_a_prompt_longer_than_the_context_gets_a_remark(sample):
    _, _, beside = sample("--prompt", "A" * 20)
    assert "the prompt has 20 tokens, of which the model reads the last 16" in beside


def test_with_zero_new_tokens_only_the_prompt_is_printed(sample):
    assert sample("--prompt", "HELLO", "--max-new-tokens", 0)[1] == "HELLO\n"


def test_stop_strings_may_be_repeated(sample, run_folder):
    (row,) = expected(run_folder, "HELLO")
    _, text, _ = sample("--prompt", "HELLO", "--stop", "??", "--stop", row.text[4:6])
    assert text == f"HELLO{row.text[:4]}\n"


def test_text_is_printed_as_soon_as_it_is_certain_and_samples_stay_in_order(capsys):
    options = SamplingOptions(max_new_tokens=3, num_samples=2)
    tokenizer = ByteTokenizer()
    stream = Stream(
        binding.bound(), LoadedModel("bytes", our_gpt2(d_vocab=257), tokenizer), ["A"], options
    )
    printer, (first, second) = ContinuationPrinter(["A"], stream.rows), stream.rows
    shown = []
    for row, id in ((second, 97), (first, 0xC3), (first, 0xA9), (second, 98), (first, 33)):
        row.take(id, 0.0, ())
        printer.update()
        shown.append(capsys.readouterr().out)
    assert shown == ["--- 1 of 2\nA", "", "é", "", "!\n--- 2 of 2\nAab"]


def test_after_an_interrupt_the_text_so_far_stays_printed(sample, tmp_path, monkeypatch):
    original = Stream.__iter__

    def interrupted(stream):
        for number, step in enumerate(original(stream)):
            if number == 10:
                raise KeyboardInterrupt
            yield step

    monkeypatch.setattr(Stream, "__iter__", interrupted)
    path = tmp_path / "out.json"
    code, text, beside = sample("--prompt", "HELLO", "--num-samples", 2, "--json", path)
    told = json.loads(path.read_text())["samples"]
    assert code == 130
    assert beside.endswith("interrupted\n")
    assert [len(one["tokens"]) for one in told] == [6, 5]
    assert [one["finish"] for one in told] == ["interrupted"] * 2
    assert text == "".join(
        f"--- {number} of 2\nHELLO{one['text']}\n" for number, one in enumerate(told, start=1)
    )


def test_an_error_while_drawing_is_printed_on_a_line_of_its_own(sample):
    code, text, beside = sample(
        "--prompt", "HELLO", "--no-repeat-ngram-size", 1, "--max-new-tokens", 400
    )
    assert (code, text[-1]) == (2, "\n")
    assert "\nerror: no token is left" in beside


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    """Return a learner's file that generates A greedily until Ctrl-C."""
    folder = tmp_path_factory.mktemp("interrupted")
    saved_run(folder / "run", small_model())
    greedy = "        return logits.argmax(dim=-1)\n"
    path = edited_reference(folder, (greedy, "        return 0 * logits.argmax(dim=-1)\n"))
    words = ["sample", "--model", "run", "--prompt", "HELLO", "--max-new-tokens", 10**7]
    words += ["--temperature", 0, "--solution", path]
    process = the_forks().start_python("-m", "gpt2_small", *words, cwd=folder)
    wait_until(lambda: len(process.out) > 40 or process.poll() is not None)
    process.send(signal.SIGINT)
    return process.wait(), process.out, process.err.splitlines()


def test_ctrl_c_keeps_the_text_and_exits_with_130(interrupted):
    code, text, beside = interrupted
    assert code == 130
    assert text.endswith("A\n")
    assert beside[1:] == ["interrupted"]


def test_sampling_uses_the_learners_file(interrupted):
    _, text, beside = interrupted
    assert set(text.removeprefix("HELLO")) == {"A", "\n"}
    assert "by edited.py (sha256 " in beside[0]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--prompt", "A1"], "character '1'"),
        (["--prompt", ""], "the prompt is empty, and tokenizer 'char' has no start"),
        (["--prompt", "A", "--temperature", "-1"], "temperature is -1.0; give 0"),
        (["--prompt", "A", "--temperature", "nan"], "temperature is nan"),
        (["--prompt", "A", "--top-k", "0"], "top_k is 0; give a whole number"),
        (["--prompt", "A", "--top-p", "2"], "top_p is 2.0; give a number above 0"),
        (["--prompt", "A", "--min-p", "-1"], "min_p is -1.0; give a number from 0 to 1"),
        (["--prompt", "A", "--max-new-tokens", "-1"], "max_new_tokens is -1"),
        (["--prompt", "A", "--num-samples", "0"], "num_samples is 0"),
        (["--prompt", "A", "--stop", ""], "stop is"),
        (["--prompt", "A", "--device", "cuda:7"], "there is no device 'cuda:7' here"),
        (["--prompt", "A", "--dtype", "float"], "dtype is 'float'; give one of float32"),
        (["--prompt", "A", "--typical-p", "0"], "typical_p is 0.0; give a number above 0"),
        (["--prompt", "A", "--prompts", "b.txt"], "both --prompt and --prompts are given"),
        (["--prompts", "no-such.txt"], "no-such.txt cannot be read: No such file"),
        (["--prompt", "A", "--stop-token", "99"], "there is no token 99; the model has tokens"),
        (["--prompt", "A", "--stop-token", "AB"], "'AB' is 2 tokens, not one; give an id"),
        (["--prompt", "A", "--score", ""], "the text to score is empty"),
        (["--prompt", "A", "--score", "B", "--top-k", "3"], "--score draws nothing, so --top-k"),
        (["--prompt", "A", "--score", "B", "--ignore-end"], "so --ignore-end has no effect"),
        (["--prompt", "A", "--json", "no/where.json"], "there is no folder"),
        (["--prompt", "A", "--model", "no-such-run"], "there is no folder no-such-run"),
    ],
)
def test_an_error_is_reported_in_one_sentence_with_exit_code_2(sample, arguments, sentence):
    code, text, beside = sample(*arguments)
    assert (code, text) == (2, "")
    assert beside.startswith(f"error: {sentence}") or sentence in beside.splitlines()[-1]
    assert beside.count("\n") == 1


def test_without_a_prompt_and_without_a_pipe_the_ways_to_give_one_are_printed(sample):
    code, _, beside = sample(stdin=Terminal())
    assert (code, beside) == (
        2,
        "error: there is no prompt; give --prompt TEXT, or pipe a text in\n",
    )


@pytest.mark.parametrize("command", ["sample", "export"])
def test_the_help_fits_a_screen_and_has_an_example(command, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "argv", ["gpt2-small", command, "--help"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    lines = capsys.readouterr().out.splitlines()
    assert ended.value.code in (0, None)
    assert len(lines) <= {"sample": 34, "export": 23}[command]
    assert max(map(len, lines)) <= 80
    assert any(line.strip().startswith(f"Example: gpt2-small {command} ") for line in lines)


def test_control_characters_do_not_reach_a_terminal():
    assert visible("a\x1b[31m\tb\r\n\x7f\x9b中🦜") == "a␛[31m\tb␍\n␡\ufffd中🦜"


def test_a_remark_is_printed_when_gpt2s_tokenizer_is_assumed(sample, tmp_path):
    hugging_face_gpt2(vocab_size=50257).save_pretrained(tmp_path / "bare")
    code, _, said = sample("--prompt", "A", model=tmp_path / "bare")
    assert code == 0
    assert f"{tmp_path / 'bare'} has no tokenizer files; GPT-2's is assumed\n" in said
