"""Test names of data sets: the Hub's, and tiny Shakespeare."""

import hashlib
import itertools
import sys

import pytest
from shard_folders import PLAY, documents_of, index_of, json_lines, made, steps_of, written

from gpt2_small.data.corpora import hub_corpus, named_corpora
from gpt2_small.data.corpora.named_corpora import NAMES, open_corpus
from gpt2_small.errors import UserError


@pytest.mark.parametrize("name", [*NAMES[:4], "hub:owner/name"])
def test_without_a_network_a_name_is_refused_in_one_sentence_at_once(tmp_path, name, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(UserError, match="is unavailable offline") as refusal:
        made(name, tmp_path / "out")
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "out").exists()


@pytest.fixture
def on_the_hub(monkeypatch, tmp_path):
    """Serve one data set as the Hub, and record the requests to it and to `datasets`."""
    datasets = pytest.importorskip("datasets")
    huggingface_hub = pytest.importorskip("huggingface_hub")
    path, asked = json_lines(tmp_path / "on-the-hub.jsonl", written(40)), []
    load = datasets.load_dataset

    class Answer:
        sha = "0123abc"

    def dataset_info(self, name, *, revision=None, timeout):
        asked.append((name, revision))
        return Answer()

    def load_dataset(path_or_name, name=None, *, revision=None, streaming, **more):
        asked.append((path_or_name, name, revision))
        return load("json", data_files=str(path), streaming=streaming)

    monkeypatch.setattr(hub_corpus, "is_offline", lambda: False)
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", dataset_info)
    monkeypatch.setattr(datasets, "load_dataset", lambda path, **more: load_dataset(path, **more))
    return asked


@pytest.mark.parametrize(
    ("name", "asked", "loaded"),
    [
        ("openwebtext", ("Skylion007/openwebtext", None), (None, "0123abc")),
        ("fineweb-edu", ("HuggingFaceFW/fineweb-edu", None), ("sample-10BT", "0123abc")),
        ("tinystories", ("roneneldan/TinyStories", None), (None, "0123abc")),
        ("hub:a/b", ("a/b", None), (None, "0123abc")),
        ("hub:a/b@refs/pr/1:some", ("a/b", "refs/pr/1"), ("some", "0123abc")),
    ],
)
def test_a_name_is_resolved_to_the_data_sets_current_commit(on_the_hub, name, asked, loaded):
    source = open_corpus(name)
    assert on_the_hub == [asked, (asked[0], *loaded)]
    assert source.origin["revision"] == "0123abc"
    assert len(list(source.pieces())) == 40


def test_an_interrupted_preparation_asks_the_hub_for_the_same_commit(on_the_hub, tmp_path):
    list(itertools.islice(steps_of("hub:a/b", tmp_path / "out", tokenizer="byte"), 2))
    on_the_hub.clear()
    made("hub:a/b", tmp_path / "out", tokenizer="byte")
    assert on_the_hub[0] == ("a/b", "0123abc")
    assert documents_of(tmp_path / "out") == sorted(written(40))


def test_rows_of_a_data_set_without_text_are_counted(on_the_hub, tmp_path):
    records = [None, *written(12), None, ""]
    json_lines(tmp_path / "on-the-hub.jsonl", records)
    out = made("hub:a/b", tmp_path / "out", tokenizer="byte")
    assert documents_of(out) == sorted(written(12))
    assert index_of(out)["left_out"]["rows"]["empty"] == 3


def test_only_the_requested_documents_of_a_data_set_are_read(on_the_hub, tmp_path):
    json_lines(tmp_path / "on-the-hub.jsonl", [f"{n:010}" for n in range(50)])
    assert len(list(open_corpus("hub:a/b", most_characters=205).pieces())) == 21
    assert len(list(open_corpus("hub:a/b", limit=12).pieces())) == 12


def test_a_missing_split_is_refused_with_the_existing_ones(on_the_hub):
    with pytest.raises(UserError, match="has no split 'test'; its splits are: train"):
        open_corpus("hub:a/b", split="test")


def test_a_hub_that_does_not_answer_is_asked_once(monkeypatch):
    huggingface_hub = pytest.importorskip("huggingface_hub")
    asked = []

    def refuse(self, name, timeout):
        asked.append((name, timeout))
        raise ConnectionError("Name or service not known\nand more")

    monkeypatch.setattr(hub_corpus, "is_offline", lambda: False)
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", refuse)
    with pytest.raises(
        UserError, match=r"cannot be reached .* \(Name or service not known\)"
    ) as no:
        open_corpus("hub:owner/name:config")
    assert asked == [("owner/name", hub_corpus.ANSWER_SECONDS)]
    assert "\n" not in str(no.value)


def test_without_the_datasets_library_the_command_that_installs_it_is_printed(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UserError, match="pip install datasets"):
        open_corpus("hub:owner/name")


def test_the_size_is_read_from_the_name_if_the_hub_does_not_have_it(on_the_hub):
    source = open_corpus("openwebtext")
    assert (source.documents, source.bytes) == (8_013_769, 39_800_000_000)
    some = open_corpus("openwebtext", limit=8014)
    assert some.documents == 8014
    assert some.bytes == pytest.approx(39_800_000, rel=0.001)


def test_a_data_set_with_only_a_script_is_refused_with_the_revision_of_its_parquet_copy(
    monkeypatch, on_the_hub
):
    import datasets

    def refuse(path, **more):
        raise RuntimeError("Dataset scripts are no longer supported, but found b.py")

    monkeypatch.setattr(datasets, "load_dataset", refuse)
    with pytest.raises(UserError, match="Hub's own conversion, hub:a/b@refs/convert/parquet"):
        open_corpus("hub:a/b")


@pytest.fixture
def shakespeare(monkeypatch, tmp_path):
    """Replace the file on the network, and return the path where it is stored."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(named_corpora, "is_offline", lambda: False)
    digest = hashlib.sha256(PLAY.encode()).hexdigest()
    monkeypatch.setattr(named_corpora, "SHAKESPEARE_SHA256", digest)
    (tmp_path / "there.txt").write_text(PLAY)
    url = (tmp_path / "there.txt").as_uri()
    monkeypatch.setattr(named_corpora, "SHAKESPEARE_URL", url)
    return tmp_path / "cache/gpt2-small/tinyshakespeare.txt"


def test_tiny_shakespeare_is_downloaded_once(shakespeare, tmp_path, monkeypatch):
    source = open_corpus("tiny-shakespeare")
    assert source.origin["sha256"] == hashlib.sha256(PLAY.encode()).hexdigest()
    assert shakespeare.read_text() == PLAY
    (tmp_path / "there.txt").unlink()
    assert open_corpus("tiny-shakespeare").name == "tiny-shakespeare"


def test_another_text_than_tiny_shakespeare_is_refused(shakespeare, tmp_path):
    (tmp_path / "there.txt").write_text("<html>")
    with pytest.raises(UserError, match="did not return tiny-shakespeare"):
        open_corpus("tiny-shakespeare")
    assert not shakespeare.exists()


def test_a_network_error_is_reported_in_one_sentence_with_the_way_out(shakespeare, tmp_path):
    (tmp_path / "there.txt").unlink()
    with pytest.raises(
        UserError, match=r"cannot be downloaded \(.*\); download it from file:.* and"
    ):
        open_corpus("tiny-shakespeare")
