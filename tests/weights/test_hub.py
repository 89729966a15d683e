"""Test names of models: the cache first, the network with a time limit, else one sentence."""

import json
import shutil
import socket
import threading
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
from safetensors.torch import load_file, save_file
from small_gpt2s import characters, hugging_face_gpt2, logits_of

import gpt2_small
from gpt2_small.errors import UserError
from gpt2_small.generation import open_model
from gpt2_small.tokenizers.gpt2_table import byte_letters
from gpt2_small.tokenizers.hugging_face import write_tokenizer_files
from gpt2_small.tokenizers.registry import ByteLevelTokenizer, GPT2Tokenizer
from gpt2_small.weights import hub_models

# An end of text before the 256 bytes, declared in tokenizer_config.json only.
OTHER = ByteLevelTokenizer(
    {letter: id for id, letter in enumerate(["</s>", *byte_letters()])}, [], end_of_text="</s>"
)
COMMIT = "607a30d783dfa663caf39e06633721c8d4cfcd7e"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Use an empty cache; network access fails the test."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(socket, "getaddrinfo", untouchable)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache"


def untouchable(*args, **kwargs):
    raise AssertionError("the network was accessed")


def put_into_cache(cache, name, model):
    """Create the files of a download by the Hub's client."""
    repository = cache / f"models--{name.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    model.save_pretrained(repository / "snapshots" / COMMIT)
    return repository / "snapshots" / COMMIT


@pytest.fixture
def online(monkeypatch):
    """Enable the Hub; the test sets its answer."""
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr(hub_models, "ANSWER_SECONDS", 0.05)

    def answer(function):
        monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", function)

    return answer


@pytest.mark.parametrize("name", ["gpt2", "openai-community/gpt2"])
@pytest.mark.parametrize("offline", ["0", "1"])
def test_a_cached_model_is_used_without_the_network(cache, monkeypatch, name, offline):
    monkeypatch.setenv("HF_HUB_OFFLINE", offline)
    theirs = hugging_face_gpt2()
    put_into_cache(cache, "openai-community/gpt2", theirs)
    difference = logits_of(gpt2_small.load_pretrained(name)) - logits_of(theirs)
    assert difference.abs().max() < 1e-5


@pytest.mark.parametrize("name", [*hub_models.HUB_NAMES, "someone/some-gpt2"])
def test_offline_an_uncached_model_is_refused_in_one_sentence_at_once(name):
    with pytest.raises(UserError, match=f"{name} is neither a local folder nor a downloaded model"):
        gpt2_small.load_pretrained(name)


def test_an_incomplete_download_does_not_count_as_a_cached_model(cache):
    folder = put_into_cache(cache, "someone/gpt2", hugging_face_gpt2())
    (folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match="nor a downloaded model"):
        gpt2_small.load_pretrained("someone/gpt2")


def test_a_model_with_one_of_several_shards_does_not_count_as_cached(cache):
    folder = put_into_cache(cache, "openai-community/gpt2", hugging_face_gpt2())
    weights = load_file(folder / "model.safetensors")
    files = {name: f"model-0000{number % 2 + 1}-of-00002.safetensors"
             for number, name in enumerate(weights)}  # fmt: skip
    for file in set(files.values()):
        save_file({name: weights[name] for name in weights if files[name] == file}, folder / file)
    (folder / hub_models.INDEX).write_text(json.dumps({"weight_map": files}))
    (folder / "model.safetensors").unlink()
    assert hub_models.fetch("gpt2") == folder
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(UserError, match="gpt2 is neither a local folder nor a downloaded model"):
        hub_models.fetch("gpt2")


def test_a_hub_that_never_answers_is_abandoned_after_the_time_limit(online):
    released = threading.Event()
    online(lambda *args, **kwargs: released.wait(20))
    with pytest.raises(UserError, match=r"the Hub cannot be reached \(no answer within"):
        gpt2_small.load_pretrained("gpt2")
    released.set()


def test_a_network_error_is_reported_in_one_sentence_with_the_reason(online):
    def fail(*args, **kwargs):
        raise ConnectionError("Name or service not known\nand a long story")

    online(fail)
    with pytest.raises(UserError, match=r"reached \(Name or service not known\)") as caught:
        gpt2_small.load_pretrained("gpt2-xl")
    assert "\n" not in str(caught.value)


@pytest.fixture
def on_the_hub(online, cache, tmp_path, monkeypatch):
    """Serve a repository to the Hub's client, and record its requests."""
    there, asked = tmp_path / "on-the-hub", []
    there.mkdir()

    def put(name, file):
        snapshot = cache / f"models--{name.replace('/', '--')}" / "snapshots" / COMMIT
        (snapshot / file).parent.mkdir(parents=True, exist_ok=True)
        (snapshot.parents[1] / "refs").mkdir(exist_ok=True)
        (snapshot.parents[1] / "refs" / "main").write_text(COMMIT)
        return shutil.copy(there / file, snapshot / file)

    def snapshot_download(name, allow_patterns, revision=None):
        asked.append((name, allow_patterns))
        folder = there
        for pattern in allow_patterns:
            files = [put(name, path.name) for path in there.glob(pattern)]
            folder = Path(files[0]).parent if files else folder
        return str(folder)

    def hf_hub_download(name, file, revision=None):
        asked.append((name, [file]))
        if (there / file).exists():
            return put(name, file)
        marker = cache / f"models--{name.replace('/', '--')}" / ".no_exist" / COMMIT / file
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.touch()
        raise EntryNotFoundError(f"{file} is not there")

    online(lambda *args, **kwargs: None)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", hf_hub_download)
    return SimpleNamespace(folder=there, asked=asked)


def test_a_model_on_the_hub_is_downloaded_without_pickles(on_the_hub):
    theirs = hugging_face_gpt2()
    theirs.save_pretrained(on_the_hub.folder)
    assert (logits_of(gpt2_small.load_pretrained("gpt2")) - logits_of(theirs)).abs().max() < 1e-5
    assert {name for name, _ in on_the_hub.asked} == {"openai-community/gpt2"}
    assert not any("bin" in pattern for _, patterns in on_the_hub.asked for pattern in patterns)


@pytest.mark.parametrize("stored", ["on-the-hub", "cache"])
def test_a_hub_model_generates_with_its_own_tokenizer(on_the_hub, cache, stored, monkeypatch):
    """Also if another program cached only its weights."""
    theirs = hugging_face_gpt2(vocab_size=OTHER.vocab_size)
    theirs.save_pretrained(on_the_hub.folder)
    write_tokenizer_files(OTHER, on_the_hub.folder)
    if stored == "cache":
        put_into_cache(cache, "someone/gpt2", theirs)
    assert open_model("someone/gpt2").tokenizer.to_dict() == OTHER.to_dict()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert open_model("someone/gpt2").tokenizer.to_dict() == OTHER.to_dict()


def test_a_missing_tokenizer_on_the_hub_is_requested_only_once(on_the_hub, monkeypatch):
    hugging_face_gpt2(vocab_size=50257).save_pretrained(on_the_hub.folder)
    assert isinstance(open_model("someone/gpt2").tokenizer, GPT2Tokenizer)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert isinstance(open_model("someone/gpt2").tokenizer, GPT2Tokenizer)


def test_a_cached_model_without_tokenizer_files_is_not_opened_with_gpt2s(cache):
    put_into_cache(cache, "someone/gpt2", hugging_face_gpt2(vocab_size=50257))
    assert gpt2_small.load_pretrained("someone/gpt2").config.d_vocab == 50257
    with pytest.raises(UserError, match="someone/gpt2 was downloaded without all files of its tok"):
        open_model("someone/gpt2")


def test_a_failed_tokenizer_download_is_reported_and_retried(on_the_hub, monkeypatch):
    hugging_face_gpt2().save_pretrained(on_the_hub.folder)
    write_tokenizer_files(characters(), on_the_hub.folder)
    whole = huggingface_hub.hf_hub_download

    def fail(name, file, **more):
        raise LocalEntryNotFoundError("the connection was cut")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    with pytest.raises(UserError, match=r"cannot be reached \(the connection was cut\)"):
        open_model("someone/gpt2")
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", whole)
    assert open_model("someone/gpt2").tokenizer.to_dict() == characters().to_dict()


def test_gpt2_needs_no_tokenizer_in_the_cache(cache):
    put_into_cache(cache, "openai-community/gpt2", hugging_face_gpt2(vocab_size=50257))
    assert isinstance(open_model("gpt2").tokenizer, GPT2Tokenizer)


def test_a_hub_model_with_only_pickles_is_refused_with_the_reason(online, tmp_path, monkeypatch):
    (tmp_path / "fetched").mkdir()
    (tmp_path / "fetched" / "config.json").write_text('{"model_type": "gpt2"}')
    online(lambda *args, **kwargs: None)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *a, **k: tmp_path / "fetched")
    with pytest.raises(UserError, match=r"weights of someone/gpt2, and pickles are not loaded"):
        gpt2_small.load_pretrained("someone/gpt2")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("gpt2-larg", r"there is no folder gpt2-larg; did you mean gpt2-large\?"),
        ("runs/storys", r"there is no folder runs/storys; did you mean runs/stories\?"),
        ("./nowhere", r"there is no folder \./nowhere; give the folder of a run"),
        ("a.txt", r"a\.txt is a file; give the folder it is in"),
        ("gpt2-smal", r"did you mean gpt2-small\?"),
        ("runs/gone", r"runs/gone is a link to elsewhere, which is not there"),
    ],
)
def test_an_unknown_model_name_gets_a_suggestion(tmp_path, name, sentence):
    (tmp_path / "runs" / "stories").mkdir(parents=True)
    (tmp_path / "a.txt").touch()
    (tmp_path / "runs" / "gone").symlink_to("elsewhere")
    with pytest.raises(UserError, match=sentence):
        gpt2_small.load_pretrained(name)


@pytest.mark.parametrize(
    ("name", "repository"),
    [
        ("gpt2-small", "openai-community/gpt2"),
        ("distilgpt2", "distilbert/distilgpt2"),
        ("gpt2-xl", "openai-community/gpt2-xl"),
    ],
)
def test_a_short_model_name_is_resolved_to_its_owner_and_gpt2s_tokenizer(cache, name, repository):
    theirs = hugging_face_gpt2(vocab_size=50257)
    put_into_cache(cache, repository, theirs)
    loaded = open_model(name)
    assert (logits_of(loaded.model) - logits_of(theirs)).abs().max() < 1e-5
    assert isinstance(loaded.tokenizer, GPT2Tokenizer)
    assert loaded.remarks == ()


def test_a_revision_is_requested_and_found_in_the_cache(on_the_hub, cache, monkeypatch):
    theirs = hugging_face_gpt2(vocab_size=OTHER.vocab_size)
    theirs.save_pretrained(on_the_hub.folder)
    write_tokenizer_files(OTHER, on_the_hub.folder)
    asked = []
    for function in ("snapshot_download", "hf_hub_download"):
        whole = getattr(huggingface_hub, function)

        def heard(*args, whole=whole, revision=None, **more):
            asked.append(revision)
            return whole(*args, revision=revision, **more)

        monkeypatch.setattr(huggingface_hub, function, heard)
    assert open_model("someone/gpt2@v1.0").tokenizer.to_dict() == OTHER.to_dict()
    assert {*asked} == {"v1.0"}
    refs = cache / "models--someone--gpt2" / "refs"
    (refs / "v1.0").write_text(COMMIT)
    (refs / "main").unlink()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert open_model("someone/gpt2@v1.0").tokenizer.to_dict() == OTHER.to_dict()
    with pytest.raises(UserError, match=r"someone/gpt2@v2\.0 is neither"):
        open_model("someone/gpt2@v2.0")


def test_every_file_of_the_tokenizer_is_downloaded(on_the_hub):
    theirs = hugging_face_gpt2(vocab_size=OTHER.vocab_size + 1)
    theirs.save_pretrained(on_the_hub.folder)
    write_tokenizer_files(OTHER, on_the_hub.folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (on_the_hub.folder / name).unlink()
    added = {"<|end|>": OTHER.vocab_size}
    (on_the_hub.folder / "added_tokens.json").write_text(json.dumps(added))
    (on_the_hub.folder / "generation_config.json").write_text('{"eos_token_id": [0, 257]}')
    tokenizer = open_model("someone/gpt2").tokenizer
    assert tokenizer.vocab_size == OTHER.vocab_size + 1
    assert tokenizer.ends == {0, 257}


def test_a_tokenizer_of_another_kind_on_the_hub_is_refused(on_the_hub):
    hugging_face_gpt2(vocab_size=50257).save_pretrained(on_the_hub.folder)
    (on_the_hub.folder / "spiece.model").write_bytes(b"\x0a\x0e")
    with pytest.raises(UserError, match=r"spiece\.model is of a tokenizer that cannot be read"):
        open_model("someone/gpt2")
