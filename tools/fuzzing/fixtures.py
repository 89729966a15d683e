"""Make the files that a user has: a text, runs, shards, an export, learners' files."""

import json
from pathlib import Path

from small_runs import PLAY, flags

from .cases import Case, start

QUESTION = {
    "ctx": "A man sits",
    "ctx_a": "A man",
    "ctx_b": "sits",
    "activity_label": "Sitting",
    "endings": ["on a chair.", "under a king.", "in the air.", "no."],
    "label": 0,
}


def make_fixtures(folder: Path) -> None:
    """Create a text, a run, shards, an export, a learner's file and unusual files."""
    (folder / "play.txt").write_text(PLAY)
    rows = [json.dumps({"text": line}) for line in PLAY.splitlines() if line]
    (folder / "rows.jsonl").write_text("\n".join(rows) + "\n")
    (folder / "my_gpt2.py").write_text("raise NotImplementedError\n")
    (folder / "wrong.py").write_text("def f(:\n")
    (folder / "empty").touch()
    (folder / "binary").write_bytes(bytes(range(256)) * 40)
    (folder / "folder").mkdir()
    (folder / "loop").symlink_to("loop")
    (folder / "dangling").symlink_to("nothing")
    settings = flags(max_steps=6, checkpoint_every=2, keep=2)
    train = ["train", "--preset", "characters", "--data", "play.txt", "--out", "run", *settings]
    (folder / "talks.jsonl").write_text("".join(map(conversation, range(40))))
    (folder / "choices.jsonl").write_text((json.dumps(QUESTION) + "\n") * 3)
    (folder / "class").mkdir()
    for name in ("ann", "bob"):
        (folder / "class" / f"{name}.py").write_text("def f(:\n")
    (folder / "tasks").mkdir()
    (folder / "tasks" / "broken.yaml").write_text("task: [\n")
    chat = ["train", "--preset", "chat-oasst", "--data", "chats", "--out", "chat-run", *settings]
    chat += ["--set", "n_ctx=32"]
    for words in (
        train,
        ["prepare", "play.txt", "--out", "shards", "--tokenizer", "byte"],
        ["prepare", "talks.jsonl", "--chat", "--out", "chats", "--tokenizer", "byte-chat"],
        chat,
        ["export", "run", "export"],
        ["start", "begun.py"],
        ["start", "lesson.py", "--lesson", "bigram"],
    ):
        fork = start(Case(words, folder, ""))
        assert fork.wait() == 0, fork.err


def conversation(number: int) -> str:
    """Return a line of a file of conversations."""
    turns = (("user", f"Is it {number}?"), ("assistant", "It is."))
    return json.dumps({"messages": [dict(role=r, content=text) for r, text in turns]}) + "\n"
