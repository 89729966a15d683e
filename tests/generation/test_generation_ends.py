"""Test ends of continuations: stop strings, stop tokens and ends of text."""

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from small_continuations import ids, scripted, small_model, written

from gpt2_small.generation.stop_strings import StopText
from gpt2_small.tokenizers.registry import ByteTokenizer


@example(text="abab", stop=["abab", "ba"], cuts=[])
@given(
    text=st.text("ab", max_size=12),
    stop=st.lists(st.text("ab", min_size=1, max_size=4), max_size=3),
    cuts=st.lists(st.integers(0, 12), max_size=5),
)
def test_a_stop_string_ends_the_text_at_the_same_place_for_any_division_into_pieces(
    text, stop, cuts
):
    def let_through(pieces):
        stop_text = StopText(stop)
        return "".join(map(stop_text.push, pieces)) + stop_text.finish()

    places = [0, *sorted(cuts), len(text)]
    pieces = [text[start:end] for start, end in itertools.pairwise(places)]
    ends = [
        (end, len(text[:end]) - len(one))
        for end in range(len(text) + 1)
        for one in stop
        if text[:end].endswith(one)
    ]
    expected = text[: min(ends)[1]] if ends else text
    assert let_through(pieces) == expected


@given(stop=st.text("ab", min_size=1, max_size=4), text=st.text("abc", max_size=8))
def test_only_a_possible_beginning_of_a_stop_string_is_held_back(stop, text):
    stop_text = StopText([stop])
    shown = stop_text.push(text)
    held = text[len(shown) :]
    assert stop_text.is_complete or stop.startswith(held)


def test_a_stop_string_across_tokens_ends_the_text_and_stops_drawing():
    free = written(["HELLO"])[0]
    stop = free.text[9:12]
    (stopped,) = written(["HELLO"], stop=("never", stop))
    assert stopped.text == free.text[: free.text.index(stop)]
    assert stopped.finish == "stop"
    assert len(stopped.steps) == free.text.index(stop) + 3


def test_a_possible_stop_string_is_not_shown_before_it_is_ruled_out():
    free = written(["HELLO"])[0]
    stop = free.text[9:12]
    pieces = [step.text for step in written(["HELLO"], stop=(stop,))[0].steps]
    assert pieces[-3:] == ["", "", ""]


def test_a_stop_string_that_never_occurs_removes_no_text():
    free = written(["HELLO"])[0]
    begun = free.text[-1] + "?"
    assert written(["HELLO"], stop=(begun,))[0].text == free.text


def test_a_stop_string_in_the_prompt_is_ignored():
    (continuation,) = written(["XHELLO"], stop=("HELLO",), max_new_tokens=4)
    assert len(continuation.steps) == 4


def test_a_stop_token_ends_the_text_and_is_not_part_of_it():
    free = written(["HELLO"])[0]
    seventh = ids(free)[6]
    (stopped,) = written(["HELLO"], stop_tokens=(seventh,))
    length = ids(free).index(seventh)
    assert ids(stopped) == ids(free)[: length + 1]
    assert (stopped.text, stopped.finish) == (free.text[:length], "stop")


@pytest.mark.parametrize(
    ("stop_tokens", "text"), [(None, "Hi"), ((), "Hi<|endoftext|>!"), ((ord("i"),), "H")]
)
def test_the_end_of_text_ends_a_continuation_unless_other_tokens_are_named(stop_tokens, text):
    model, tokenizer = small_model(d_vocab=257), ByteTokenizer()
    solution = scripted([*b"Hi", 256, ord("!")])
    (continuation,) = written(
        ["A"],
        model=model,
        tokenizer=tokenizer,
        solution=solution,
        max_new_tokens=4,
        stop_tokens=stop_tokens,
    )
    assert continuation.text == text


# Characters of several tokens


def bytes_written(prompt, data, **options):
    model, tokenizer = small_model(d_vocab=257), ByteTokenizer()
    options = {"model": model, "tokenizer": tokenizer, "max_new_tokens": len(data)} | options
    return written([prompt], solution=scripted(data), **options)[0]


def test_a_character_is_yielded_with_its_last_token():
    continuation = bytes_written("A", "é🦜中".encode())
    assert [step.text for step in continuation.steps] == [
        *["", "é"],
        *["", "", "", "🦜"],
        "",
        "",
        "中",
    ]


def test_a_character_cut_off_by_the_length_limit_is_shown_as_one_replacement_character():
    assert bytes_written("A", "é🦜".encode()[:-1]).text == "é\ufffd"


def test_a_stop_token_inside_a_character_leaves_one_replacement_character():
    assert bytes_written("A", b"a\xf0\x9f" + b"!", stop_tokens=(ord("!"),)).text == "a\ufffd"


def test_a_character_begun_in_the_prompt_is_completed():
    half = list("🦜".encode()[:2])
    assert bytes_written([65, *half], "🦜".encode()[2:]).text == "🦜"
