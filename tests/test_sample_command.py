"""gpt2-small sample: what it prints, writes and refuses."""

import io
import json
import math
import os
import re
import signal
import sys
from dataclasses import asdict

import pytest
import torch
from against_reference import edited_reference
from forked import the_forks, wait_until
from small_continuations import ROUNDING, small_model
from small_gpt2s import N_CTX, characters, hugging_face_gpt2, our_gpt2, saved_run

from gpt2_small import binding, cli
from gpt2_small.commands.sample_output import ContinuationPrinter
from gpt2_small.errors import UserError
from gpt2_small.generation import (
    LoadedModel,
    SamplingOptions,
    Stream,
    continuations,
    open_model,
)
from gpt2_small.generation.terminal_text import visible
from gpt2_small.tokenizers.registry import ByteTokenizer, GPT2Tokenizer, make_tokenizer
from gpt2_small.weights import export_hugging_face

NEW_TOKENS = 12


class Pipe(io.TextIOWrapper):
    def __init__(self, data=b""):
        super().__init__(io.BytesIO(data))


class Terminal(Pipe):
    def isatty(self):
        return True


@pytest.fixture
def run_folder(tmp_path):
    return saved_run(tmp_path / "run", small_model()).folder


@pytest.fixture
def sample(run_folder, monkeypatch, capsys):
    """The command with these arguments: its exit code, its text, what it says beside it."""

    def command(*arguments, model=run_folder, stdin=None):
        words = ["sample", "--max-new-tokens", NEW_TOKENS, "--seed", 3, "--model", model]
        monkeypatch.setattr(sys, "argv", ["gpt2-small", *map(str, [*words, *arguments])])
        monkeypatch.setattr(sys, "stdin", stdin or Pipe())
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code or 0, *capsys.readouterr()

    return command


def expected(run_folder, prompt, **options):
    source = open_model(run_folder)
    wanted = SamplingOptions(**{"max_new_tokens": NEW_TOKENS, "seed": 3} | options)
    return continuations(binding.bound(), source, [prompt], wanted)


def test_the_prompt_is_printed_with_its_continuation_after_it(sample, run_folder):
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
def test_every_flag_reaches_the_generation(sample, run_folder, name, value):
    (row,) = expected(run_folder, "HELLO", **{name: value})
    _, text, _ = sample("--prompt", "HELLO", "--" + name.replace("_", "-"), value)
    assert text == f"HELLO{row.text}\n"
    assert row.text != expected(run_folder, "HELLO")[0].text


@pytest.mark.parametrize("ending", [b"", b"\n", b"\r\n"])
def test_a_prompt_is_read_from_a_pipe_without_the_line_break_at_its_end(sample, ending):
    assert sample(stdin=Pipe(b"HELLO" + ending)) == sample("--prompt", "HELLO")


def test_any_bytes_can_be_piped_in_and_other_white_space_stays(sample, tmp_path):
    model = saved_run(tmp_path / "bytes", our_gpt2(d_vocab=257), ByteTokenizer()).folder
    path = tmp_path / "out.json"
    code, text, _ = sample("--json", path, model=model, stdin=Pipe(b"\xff\xf0\x9f\xa6 \t\n"))
    assert code == 0
    assert text.startswith("\ufffd\ufffd \t")
    assert json.loads(path.read_text())["prompt"].encode(errors="surrogateescape") == (
        b"\xff\xf0\x9f\xa6 \t"
    )


def test_several_samples_follow_each_other_and_the_first_is_the_one_of_fewer(sample):
    _, one, _ = sample("--prompt", "HELLO")
    _, two, _ = sample("--prompt", "HELLO", "--num-samples", 2)
    assert two.startswith(f"--- 1 of 2\n{one}--- 2 of 2\nHELLO")
    assert two.count("HELLO") == 2


def test_without_a_seed_the_text_is_another_each_time_and_the_seed_is_told(
    sample, run_folder, monkeypatch, capsys
):
    argv = ["gpt2-small", "sample", "--model", str(run_folder), "--prompt", "A"]
    monkeypatch.setattr(sys, "argv", argv)
    texts, seeds = set(), set()
    for _ in range(3):
        with pytest.raises(SystemExit):
            cli.main()
        text, beside = capsys.readouterr()
        texts.add(text)
        seeds.add(int(beside.split()[-1]))
    assert len(texts) == len(seeds) == 3
    (again,) = expected(run_folder, "A", seed=seeds.pop(), max_new_tokens=100)
    assert f"A{again.text}\n" in texts


def test_a_prompt_past_the_context_is_said_to_be_read_from_its_end(sample):
    _, _, beside = sample("--prompt", "A" * 20)
    assert "the prompt has 20 tokens, of which the model reads the last 16" in beside


def test_zero_new_tokens_print_the_prompt_alone(sample):
    assert sample("--prompt", "HELLO", "--max-new-tokens", 0)[1] == "HELLO\n"


def test_stop_strings_may_be_repeated(sample, run_folder):
    (row,) = expected(run_folder, "HELLO")
    _, text, _ = sample("--prompt", "HELLO", "--stop", "??", "--stop", row.text[4:6])
    assert text == f"HELLO{row.text[:4]}\n"


def test_json_holds_the_texts_with_log_probabilities_and_candidates(sample, run_folder, tmp_path):
    path = tmp_path / "out.json"
    sample("--prompt", "HELLO", "--num-samples", 2, "--json", path)
    content = json.loads(path.read_text())
    rows = expected(run_folder, "HELLO", num_samples=2, candidates=10)
    assert content["format"] == "gpt2-small-sample/1"
    assert content["sha256"] == binding.sha256(binding.bound())
    assert content["options"]["seed"] == 3
    for told, row in zip(content["samples"], rows, strict=True):
        assert (told["text"], told["finish"]) == (row.text, "length")
        assert [token["id"] for token in told["tokens"]] == [step.id for step in row.steps]
        assert "".join(token["text"] for token in told["tokens"]) == row.text
        for token, step in zip(told["tokens"], row.steps, strict=True):
            assert token["log_probability"] == pytest.approx(step.log_probability)
            assert token["candidates"] == [asdict(candidate) for candidate in step.candidates]


def test_what_is_no_file_is_written_to_and_not_replaced(sample, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link.json").symlink_to("linked.json")
    (tmp_path / "linked.json").touch()
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reader, True)
    for name in ("pipe", "link.json"):
        code, _, _ = sample("--prompt", "A", "--max-new-tokens", 1, "--json", tmp_path / name)
        assert code == 0
    assert json.loads(os.read(reader, 2**16))["samples"][0]["finish"] == "length"
    os.close(reader)
    assert (tmp_path / "pipe").is_fifo()
    assert (tmp_path / "link.json").is_symlink()
    assert json.loads((tmp_path / "linked.json").read_text())["samples"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="/dev/full is Linux's")
def test_a_full_disk_under_the_output_is_one_sentence(run_folder):
    words = ["sample", "--model", run_folder, "--prompt", "A", "--max-new-tokens", 3, "--seed", 1]
    command = ("-m", "gpt2_small", *words)
    done = the_forks().start_python(*command, cwd=run_folder.parent, stdout="/dev/full")
    assert done.wait() == 2
    assert done.err.splitlines()[1:] == [
        "error: the output cannot be written, its disk is full; free some space"
    ]


def test_a_text_is_shown_as_far_as_it_is_certain_and_the_next_one_waits(capsys):
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


def test_an_interrupt_ends_with_what_was_said_so_far(sample, tmp_path, monkeypatch):
    whole = Stream.__iter__

    def interrupted(stream):
        for number, step in enumerate(whole(stream)):
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


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    """A learner's file, which always chooses A when it is greedy, until Ctrl-C."""
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


def test_a_learners_file_is_what_samples(interrupted):
    _, text, beside = interrupted
    assert set(text.removeprefix("HELLO")) == {"A", "\n"}
    assert "by edited.py (sha256 " in beside[0]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--prompt", "A1"], "character '1'"),
        (["--prompt", ""], "the prompt is empty, and tokenizer 'char' has no token"),
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
        (["--prompt", "A", "--stop-token", "99"], "there is no token 99; the model knows tokens"),
        (["--prompt", "A", "--stop-token", "AB"], "'AB' is 2 tokens, not one; give an id"),
        (["--prompt", "A", "--score", ""], "the text to score is empty"),
        (["--prompt", "A", "--json", "no/where.json"], "there is no folder"),
        (["--prompt", "A", "--model", "no-such-run"], "there is no folder no-such-run"),
    ],
)
def test_a_mistake_is_one_sentence_with_exit_code_2(sample, arguments, sentence):
    code, text, beside = sample(*arguments)
    assert (code, text) == (2, "")
    assert beside.startswith(f"error: {sentence}") or sentence in beside.splitlines()[-1]
    assert beside.count("\n") == 1


def test_without_a_prompt_and_without_a_pipe_the_way_out_is_said(sample):
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


# What goes in and out


def report_of(sample, *arguments, **settings):
    """What `--json -` prints, which is all that it prints."""
    code, text, _ = sample(*arguments, "--json", "-", **settings)
    assert code == 0
    return json.loads(text)


def test_the_report_on_standard_output_is_the_file_and_nothing_else(sample, tmp_path):
    path = tmp_path / "out.json"
    sample("--prompt", "HELLO", "--json", path)
    assert report_of(sample, "--prompt", "HELLO") == json.loads(path.read_text())


def test_the_report_has_the_prompts_tokens(sample):
    report = report_of(sample, "--prompt", "HELLO")
    assert report["prompt_tokens"] == characters().encode("HELLO")
    assert report["samples"][0]["prompt"] == 0


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("prompts.txt", "HELLO\n\nWORLD\n"),
        ("prompts.jsonl", '"HELLO"\n{"prompt": "WORLD", "id": 3}\n'),
    ],
)
def test_prompts_from_a_file_each_get_their_samples(sample, run_folder, tmp_path, name, content):
    (tmp_path / name).write_text(content)
    words = ["--prompts", tmp_path / name, "--num-samples", 2]
    texts = {prompt: [r.text for r in expected(run_folder, prompt, num_samples=2)]
             for prompt in ("HELLO", "WORLD")}  # fmt: skip
    report = report_of(sample, *words)
    assert [each["prompt"] for each in report["prompts"]] == ["HELLO", "WORLD"]
    assert [one["prompt"] for one in report["samples"]] == [0, 0, 1, 1]
    assert [one["text"] for one in report["samples"]] == texts["HELLO"] + texts["WORLD"]
    _, text, _ = sample(*words)
    assert text.endswith(f"--- 4 of 4\nWORLD{texts['WORLD'][1]}\n")


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.txt", b"\n \n", "has no prompt; give one a line"),
        ("a.txt", b"A\xff", "is not UTF-8 (byte 1)"),
        ("a.jsonl", b'"A"\n{"text": 1}', "line 2 is neither a string nor"),
        ("a.jsonl", b"A", "line 1 is not JSON"),
    ],
)
def test_a_file_without_prompts_is_one_sentence(sample, tmp_path, name, content, sentence):
    (tmp_path / name).write_bytes(content)
    code, text, beside = sample("--prompts", tmp_path / name)
    assert (code, text) == (2, "")
    assert sentence in beside


@pytest.fixture
def bytes_run(tmp_path):
    """A run whose tokenizer has a special token."""
    return saved_run(tmp_path / "bytes", our_gpt2(d_vocab=257), ByteTokenizer()).folder


def test_special_tokens_in_a_prompt_are_tokens_only_when_asked_for(sample, bytes_run):
    prompt = ["--prompt", "a<|endoftext|>b"]
    plain = report_of(sample, *prompt, model=bytes_run)
    special = report_of(sample, *prompt, "--special-tokens", model=bytes_run)
    assert plain["prompt_tokens"] == [*b"a<|endoftext|>b"]
    assert special["prompt_tokens"] == [97, 256, 98]


@pytest.mark.parametrize("by_id", [True, False])
def test_a_stop_token_ends_the_text_before_it(sample, by_id):
    _, text, _ = sample("--prompt", "HELLO")
    drawn = text.removeprefix("HELLO").rstrip("\n")
    last = next(place for place in range(3, len(drawn)) if drawn[place] not in drawn[:place])
    named = characters().encode(drawn[last])[0] if by_id else drawn[last]
    _, stopped, _ = sample("--prompt", "HELLO", "--stop-token", named)
    assert stopped == f"HELLO{drawn[:last]}\n"


def test_a_stop_token_is_beside_the_tokenizers_own_end_unless_that_is_ignored(sample, bytes_run):
    words = ["--prompt", "a", "--stop-token", "<|endoftext|>", "--stop-token", "7"]
    report = report_of(sample, *words, model=bytes_run)
    assert report["options"]["stop_tokens"] == [7, 256]
    report = report_of(
        sample, "--prompt", "a", "--stop-token", "7", "--ignore-end", model=bytes_run
    )
    assert report["options"]["stop_tokens"] == [7]


@pytest.mark.parametrize("length", [9, 3 * N_CTX])
def test_a_text_is_scored_token_by_token_also_past_the_context(sample, length):
    text = ("THEQUICKBROWNFOX" * 99)[:length]
    report = report_of(sample, "--prompt", "HELLO", "--score", text)
    model, tokens = small_model(), characters().encode("HELLO")
    for scored, id in zip(report["score"]["tokens"], characters().encode(text), strict=True):
        log_probs = model(torch.tensor([tokens[-N_CTX:]]))[0, -1].log_softmax(-1)
        assert scored["id"] == id
        assert scored["log_probability"] == pytest.approx(log_probs[id].item(), abs=ROUNDING)
        assert scored["candidates"][0]["id"] == log_probs.argmax()
        tokens.append(id)
    total = sum(token["log_probability"] for token in report["score"]["tokens"])
    assert report["score"]["log_probability"] == pytest.approx(total)


def test_scores_are_printed_with_their_sum_and_perplexity(sample):
    code, text, _ = sample("--prompt", "HELLO", "--score", "AB")
    first, second, last = text.splitlines()
    a, b = float(first.split()[0]), float(second.split()[0])
    assert code == 0
    assert (first.split()[1], second.split()[1]) == ('"A"', '"B"')
    assert float(last.split()[0]) == pytest.approx(a + b, abs=2e-4)
    assert float(last.split()[-1]) == pytest.approx(math.exp(-(a + b) / 2), rel=1e-3)


def test_a_text_is_scored_after_the_end_of_text_where_there_is_no_prompt(sample, bytes_run):
    report = report_of(sample, "--score", "ab", model=bytes_run)
    assert report["prompt_tokens"] == [256]
    assert len(report["score"]["tokens"]) == 2


def test_a_prompt_that_ends_in_a_space_gets_a_hint_where_words_begin_with_theirs(sample, tmp_path):
    bpe = make_tokenizer("bpe:264", "a a a the the the cat cat " * 9)
    model = saved_run(tmp_path / "bpe", our_gpt2(d_vocab=bpe.vocab_size), bpe).folder
    hint = "the prompt ends in a space, which belongs to the next word's token; leave it out"
    assert sample("--prompt", "the ", model=model)[2].count(hint) == 1
    assert hint not in sample("--prompt", "the", model=model)[2]


def test_characters_and_bytes_get_no_hint_about_a_space(sample, bytes_run):
    assert "ends in a space" not in sample("--prompt", "the ", model=bytes_run)[2]


# Models and tokenizers


def test_a_hugging_face_folder_without_tokenizer_files_gets_gpt2s_when_its_size_is_gpt2s(tmp_path):
    hugging_face_gpt2(vocab_size=50257).save_pretrained(tmp_path / "hf")
    assert isinstance(open_model(tmp_path / "hf").tokenizer, GPT2Tokenizer)


def test_a_hugging_face_folder_of_another_size_without_tokenizer_files_is_refused(tmp_path):
    hugging_face_gpt2().save_pretrained(tmp_path / "hf")
    with pytest.raises(UserError, match=r"holds no tokenizer .* vocabulary of 61 is not GPT-2's"):
        open_model(tmp_path / "hf")


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
def test_a_flipped_byte_in_the_tokenizer_of_an_export_is_found_by_its_hash(tmp_path, name):
    folder = export_hugging_face(small_model(), tmp_path / "out", tokenizer=characters())
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data.replace(b"e", b"d", 1))
    with pytest.raises(UserError, match=re.escape(f"{name} is not what was written")):
        open_model(folder)


def test_control_characters_do_not_reach_a_terminal():
    assert visible("a\x1b[31m\tb\r\n\x7f\x9b中🦜") == "a␛[31m\tb␍\n␡\ufffd中🦜"


def test_a_run_is_opened_in_the_type_that_is_asked_for(run_folder):
    assert open_model(run_folder, dtype=torch.bfloat16).model.embed.W_E.dtype == torch.bfloat16


def test_a_line_says_where_gpt2s_tokenizer_is_assumed(sample, tmp_path):
    hugging_face_gpt2(vocab_size=50257).save_pretrained(tmp_path / "bare")
    code, _, said = sample("--prompt", "A", model=tmp_path / "bare")
    assert code == 0
    assert f"{tmp_path / 'bare'} has no tokenizer files; GPT-2's is assumed\n" in said


@pytest.mark.parametrize("asked", [True, False])
def test_a_line_says_where_a_special_token_is_read_as_its_characters(sample, tmp_path, asked):
    saved_run(tmp_path / "bytes", our_gpt2(d_vocab=257), ByteTokenizer())
    words = ["--prompt", "A<|endoftext|>", *(["--special-tokens"] if asked else [])]
    code, _, said = sample(*words, model=tmp_path / "bytes")
    assert code == 0
    assert ("<|endoftext|> is read as its characters" in said) == (not asked)
