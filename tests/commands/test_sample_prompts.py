"""Test gpt2-small sample: prompts from files, special tokens, stop tokens and scores."""

import math

import pytest
import torch
from sample_command import expected, report_of
from small_continuations import ROUNDING, small_model
from small_gpt2s import N_CTX, characters, our_gpt2, saved_run

from gpt2_small.generation.prompts import read_prompts
from gpt2_small.tokenizers.registry import ByteTokenizer, make_tokenizer


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


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl"])
def test_a_prompt_may_contain_unicodes_line_separators(tmp_path, name):
    prompts = ["HE\u2028LLO", "WOR\x85LD"]
    lines = [f'"{prompt}"' if name == "a.jsonl" else prompt for prompt in prompts]
    (tmp_path / name).write_bytes(("\ufeff" + "\r\n".join(lines)).encode())
    assert read_prompts(tmp_path / name) == prompts


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.txt", b"\n \n", "has no prompt; give one a line"),
        ("a.txt", b"A\xff", "is not UTF-8 (byte 1)"),
        ("a.jsonl", b'"A"\n{"text": 1}', "line 2 is neither a string nor"),
        ("a.jsonl", b"A", "line 1 is not JSON"),
    ],
)
def test_a_file_without_prompts_is_refused_in_one_sentence(
    sample, tmp_path, name, content, sentence
):
    (tmp_path / name).write_bytes(content)
    code, text, beside = sample("--prompts", tmp_path / name)
    assert (code, text) == (2, "")
    assert sentence in beside


@pytest.fixture
def bytes_run(tmp_path):
    """Create a run whose tokenizer has a special token."""
    return saved_run(tmp_path / "bytes", our_gpt2(d_vocab=257), ByteTokenizer()).folder


def test_special_tokens_in_a_prompt_are_recognised_only_on_request(sample, bytes_run):
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


def test_stop_tokens_include_the_tokenizers_end_unless_it_is_ignored(sample, bytes_run):
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


def test_without_a_prompt_a_text_is_scored_after_the_end_of_text(sample, bytes_run):
    report = report_of(sample, "--score", "ab", model=bytes_run)
    assert report["prompt_tokens"] == [256]
    assert len(report["score"]["tokens"]) == 2


def test_a_prompt_ending_in_a_space_gets_a_hint_if_the_tokenizers_words_begin_with_one(
    sample, tmp_path
):
    bpe = make_tokenizer("bpe:264", "a a a the the the cat cat " * 9)
    model = saved_run(tmp_path / "bpe", our_gpt2(d_vocab=bpe.vocab_size), bpe).folder
    hint = "the prompt ends in a space, which belongs to the next word's token; leave it out"
    assert sample("--prompt", "the ", model=model)[2].count(hint) == 1
    assert hint not in sample("--prompt", "the", model=model)[2]


def test_characters_and_bytes_get_no_hint_about_a_space(sample, bytes_run):
    assert "ends in a space" not in sample("--prompt", "the ", model=bytes_run)[2]


@pytest.mark.parametrize("asked", [True, False])
def test_a_remark_is_printed_when_a_special_token_is_read_as_plain_characters(
    sample, tmp_path, asked
):
    saved_run(tmp_path / "bytes", our_gpt2(d_vocab=257), ByteTokenizer())
    words = ["--prompt", "A<|endoftext|>", *(["--special-tokens"] if asked else [])]
    code, _, errors = sample(*words, model=tmp_path / "bytes")
    assert code == 0
    assert ("<|endoftext|> is read as its characters" in errors) == (not asked)
