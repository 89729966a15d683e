"""Test tokenizer folders of other programs: transformers' ids, text and end."""

import json
from functools import cache

import pytest
import torch
import transformers
from tokenizer_folders import BUILT, REFUSED, TEXT, change_json, write_json

from gpt2_small import binding
from gpt2_small.data.corpora.corpus import HeldOut, Piece
from gpt2_small.data.parallel_encoding import encode_batch
from gpt2_small.errors import UserError
from gpt2_small.generation import SamplingOptions, continuations, open_model
from gpt2_small.generation.prompts import prompt_ids
from gpt2_small.tokenizers.hugging_face import read_tokenizer_folder
from gpt2_small.tokenizers.protocol import StreamDecoder, encode_array
from gpt2_small.tokenizers.registry import load_tokenizer, save_tokenizer

PROMPT = "The cat sat"
N_NEW = 12
LOGIT_TOLERANCE = 2e-5  # float32, logits of magnitude 1
TEXTS = [
    TEXT,
    "",
    " ",
    "cat",
    "the  cats  ",
    "A mat;3,141 SAT CATS Cats nés 日本 né e",
    "tab\there \r\n\n café \u00a0 \u3000 x" + "\U0001f600" * 3,
    "'s don't WE'LL 12345 ... ??!",
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Return a folder of each kind with a model that greedily generates one of its ends."""
    made = {}

    def folder_of(name):
        if name not in made:
            folder = made[name] = tmp_path_factory.mktemp(name)
            BUILT[name](folder)
            write_model(folder)
        return made[name]

    return folder_of


ours_of = cache(read_tokenizer_folder)


@cache
def theirs_of(folder):
    return transformers.AutoTokenizer.from_pretrained(folder)


def ends_of(theirs, model):
    """Return the ids at which transformers ends a text: of the model's files and the eos_token."""
    named = model.generation_config.eos_token_id
    named = named if isinstance(named, list) else [named]
    return {id for id in [*named, theirs.eos_token_id] if id is not None}


def write_model(folder, step=4):
    """Write a small random GPT-2 with a row for each token, which greedily ends at that step."""
    named = {
        file: json.loads((folder / file).read_text())
        for file in ("config.json", "generation_config.json")
        if (folder / file).is_file()
    }
    shape = {"n_embd": 12, "n_layer": 1, "n_head": 3, "n_positions": 64}
    config = transformers.GPT2Config(**shape, eos_token_id=None, bos_token_id=None)
    write_json(folder, "config.json", {**named.get("config.json", {}), "model_type": "gpt2"})
    tokenizer = theirs_of(folder)
    config.vocab_size = len(tokenizer)
    torch.manual_seed(0)
    model = transformers.GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape))
    ends = read_tokenizer_folder(folder).ends
    if ends:
        plant_end(model, tokenizer, max(ends), step)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink()
    change_json(folder, "config.json", **{"eos_token_id": None, **named.get("config.json", {})})
    if "generation_config.json" in named:
        write_json(folder, "generation_config.json", named["generation_config.json"])


@torch.no_grad()
def plant_end(model, tokenizer, end, step):
    """Change an end's embedding so that it is the likeliest token after `step` greedy ones."""
    ids = torch.tensor([tokenizer(PROMPT)["input_ids"]])
    model.transformer.wte.weight[end] = 0
    for _ in range(step):
        ids = torch.cat([ids, model(ids).logits[:, -1:].argmax(-1)], dim=1)
    hidden = model.transformer(ids).last_hidden_state[0, -1]
    largest = model(ids).logits[0, -1].max()
    model.transformer.wte.weight[end] = 1.5 * largest * hidden / hidden.dot(hidden)


shapes = pytest.mark.parametrize("name", BUILT)


@shapes
def test_each_text_gets_the_ids_that_transformers_gives(name, folders):
    ours, theirs = ours_of(folders(name)), theirs_of(folders(name))
    split = name == "an_end_that_is_no_special_token"  # in a text the special "cat" is no token
    for text in TEXTS:
        ids = theirs(text, split_special_tokens=split)["input_ids"]
        assert ours.encode(text) == ids, text
        assert ours.decode(ids) == theirs.decode(ids), text


@shapes
def test_special_tokens_in_a_text_are_recognised_as_in_transformers_on_request(name, folders):
    ours, theirs = ours_of(folders(name)), theirs_of(folders(name))
    text = "A" + " cat".join(ours.special_tokens) + "the  end "
    assert ours.encode_special(text) == theirs(text)["input_ids"]


@shapes
def test_a_typed_special_token_is_encoded_as_plain_characters(name, folders):
    ours, theirs = ours_of(folders(name)), theirs_of(folders(name))
    text = "A" + " cat".join(ours.special_tokens) + "the  end "
    typed = theirs(text, split_special_tokens=True)["input_ids"]
    assert ours.encode(text) == typed
    special = {id for token, id in ours.special_tokens.items() if token != "cat"}
    around = [id for id in ours.encode("a") if id in special]
    assert [id for id in ours.encode(text) if id in special] == around


@shapes
@torch.no_grad()
def test_greedy_text_ends_where_transformers_does(name, folders):
    folder = folders(name)
    loaded = open_model(folder)
    theirs, model = theirs_of(folder), transformers.GPT2LMHeadModel.from_pretrained(folder)
    prompt = torch.tensor([theirs(PROMPT)["input_ids"]])
    logits = model(prompt).logits
    ours = loaded.model(prompt)
    torch.testing.assert_close(
        ours, logits, rtol=0, atol=LOGIT_TOLERANCE * float(logits.abs().max())
    )
    ends = ends_of(theirs, model)
    assert loaded.tokenizer.ends == ends
    options = {"max_new_tokens": N_NEW, "do_sample": False, "pad_token_id": 0}
    written = model.generate(prompt, **options, eos_token_id=sorted(ends) or None)
    written = written[0, prompt.shape[1] :].tolist()
    ended = written[-1] in ends
    assert ended == bool(ends)
    text = theirs.decode(written[:-1] if ended else written)
    options = SamplingOptions(max_new_tokens=N_NEW, temperature=0)
    (row,) = continuations(binding.bound(), loaded, [PROMPT], options)
    assert [step.id for step in row.steps] == written
    assert row.text == text
    assert row.finish == ("stop" if ended else "length")


@shapes
def test_a_stream_adds_up_to_the_whole_text(name, folders):
    tokenizer = ours_of(folders(name))
    ids = [*tokenizer.encode(TEXT), *range(tokenizer.vocab_size)]
    stream = StreamDecoder(tokenizer)
    assert "".join(map(stream.push, ids)) + stream.finish() == tokenizer.decode(ids)


@shapes
def test_a_run_keeps_the_tokenizer(name, folders, tmp_path):
    tokenizer = ours_of(folders(name))
    save_tokenizer(tokenizer, tmp_path)
    restored = load_tokenizer(tmp_path)
    assert restored.to_dict() == tokenizer.to_dict()
    assert (restored.ends, restored.end_of_text) == (tokenizer.ends, tokenizer.end_of_text)
    assert restored.encode(TEXT) == tokenizer.encode(TEXT)


@pytest.mark.parametrize("name", REFUSED)
def test_a_tokenizer_that_cannot_be_built_exactly_is_refused_in_one_sentence(name, tmp_path):
    make, sentence = REFUSED[name]
    make(tmp_path)
    with pytest.raises(UserError, match=sentence) as refusal:
        read_tokenizer_folder(tmp_path)
    assert str(tmp_path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", ["bos_by_a_template", "both_ends_as_roberta_puts_them"])
def test_a_document_in_pieces_gets_its_start_and_end_tokens_once(name, folders):
    tokenizer = ours_of(folders(name))
    pieces = [
        encode_array(tokenizer, "The cat", begins=True, ends=False),
        encode_array(tokenizer, " sat", begins=False, ends=False),
        encode_array(tokenizer, " on", begins=False, ends=True),
    ]
    all_ids = encode_array(tokenizer, "The cat sat on")
    assert (
        [*pieces[0], *pieces[1], *pieces[2]] == list(all_ids) == tokenizer.encode("The cat sat on")
    )


def test_a_prepared_document_has_its_tokenizers_start_and_end_tokens(folders):
    texts = [Piece(text, split="train") for text in ("The cat", "sat")]
    marked = ours_of(folders("both_ends_as_roberta_puts_them"))
    plain = ours_of(folders("start_answer_end_and_pad_added"))
    for tokenizer, end in ((marked, []), (plain, [plain.end_of_text])):
        encoded = encode_batch(tokenizer, texts, HeldOut(0.0)).ids["train"]
        assert encoded.tolist() == [
            *tokenizer.encode("The cat"),
            *end,
            *tokenizer.encode("sat"),
            *end,
        ]


@pytest.mark.parametrize(
    ("name", "begins_with"),
    [("start_answer_end_and_pad_added", "<|startoftext|>"), ("pad_alone_added", "<|endoftext|>")],
)
def test_an_empty_prompt_begins_with_the_bos_token(name, begins_with, folders):
    tokenizer, theirs = ours_of(folders(name)), theirs_of(folders(name))
    expected = [theirs.convert_tokens_to_ids(begins_with)]
    assert prompt_ids(tokenizer, "", tokenizer.vocab_size) == expected == [theirs.bos_token_id]
