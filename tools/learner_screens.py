"""Generate the screens of the learners' page and the README from real verdicts.

`python tools/learner_screens.py` writes them into docs/learners.md and README.md.
"""

import contextlib
import hashlib
import re
import tempfile
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

from rich.console import Console

from gpt2_small.checker.learner import verdict_screen
from gpt2_small.checker.learner.skeleton import (
    body_of,
    reference_body,
    skeleton,
    with_body,
)
from gpt2_small.checker.learner.watching.watch_screens import WatchScreen
from gpt2_small.checker.learner.watching.watch_state import FileState, Notice
from gpt2_small.checker.mistakes import mistake
from gpt2_small.checker.mistakes.edited_reference import edited_text
from gpt2_small.checker.parts import PARTS
from gpt2_small.checker.sandbox.client import Checker

ROOT = Path(__file__).resolve().parents[1]
LEARNERS, README = ROOT / "docs/learners.md", ROOT / "README.md"
WIDTH, HEIGHT = 80, 24
FILE = Path("my_gpt2.py")

# Attention with torch.einsum and without taps.
EINSUM = """\
        query = torch.einsum("bsd,hde->bhse", residual, self.W_Q) + self.b_Q[:, None]
        key = torch.einsum("bsd,hde->bhse", residual, self.W_K) + self.b_K[:, None]
        value = torch.einsum("bsd,hde->bhse", residual, self.W_V) + self.b_V[:, None]
        scores = torch.einsum("bhqe,bhke->bhqk", query, key) / SCALE
        seq = residual.shape[1]
        future = torch.ones(seq, seq, dtype=torch.bool, device=residual.device).triu(1)
        pattern = self.pattern_dropout(scores.masked_fill(future, -math.inf).softmax(dim=-1))
        gathered = torch.einsum("bhqk,bhke->bhqe", pattern, value)
        output = torch.einsum("bhqe,hed->bqd", gathered, self.W_O)
        return self.output_dropout(output)
"""
ENDLESS = """\
        while True:
            residual = residual + 1
"""
# A first draft in another style: one slip in the scores, no dropout, the mask on the CPU.
DRAFT = """\
import torch
from torch import nn


class MultiHeadAttention(nn.Module):
    def __init__(self, config):
        super().__init__()
        H, C, D = config.n_heads, config.d_model, config.d_head
        std = config.init_std
        self.W_Q, self.W_K, self.W_V = (nn.Parameter(std * torch.randn(H, C, D)) for _ in "QKV")
        self.b_Q, self.b_K, self.b_V = (nn.Parameter(torch.zeros(H, D)) for _ in "QKV")
        self.W_O = nn.Parameter(std / (2 * config.n_layers) ** 0.5 * torch.randn(H, D, C))
        self.b_O = nn.Parameter(torch.zeros(C))

    def forward(self, x):
        B, T, C = x.shape
        x = x[:, None]
        q, k, v = x @ self.W_Q + self.b_Q[:, None], x @ self.W_K + self.b_K[:, None], x @ self.W_V
        v = v + self.b_V[:, None]
        att = q @ k.transpose(-2, -1) * C**-0.5
        mask = torch.tril(torch.ones(T, T))
        att = att.masked_fill(mask == 0, float("-inf")).softmax(dim=-1)
        return torch.einsum("bhtd,hdc->btc", att @ v, self.W_O) + self.b_O
"""


def learners_file(done: int, part: str | None = None, body: str = "") -> str:
    """Return a skeleton with the reference's bodies in its first parts and one given body."""
    text = skeleton()
    for written in PARTS[:done]:
        text = with_body(text, written, reference_body(written))
    return text if part is None else with_body(text, part, body)


def body_with(mistake_id: str) -> str:
    """Return the reference's body of a part with a known mistake in it."""
    found = mistake.find(mistake_id)
    return body_of(edited_text(found), found.component)


class Learner:
    """A learner's file under `watch`, at a terminal of 80 by 24."""

    def __init__(self, checker: Checker) -> None:
        self.path = FILE
        self.checker = checker
        console = Console(file=StringIO(), width=WIDTH, height=HEIGHT, color_system=None)
        self.face = WatchScreen(console)
        self.path.write_text(skeleton(), encoding="utf-8")
        self.file_state = FileState(self.path, self.path.name)
        self.file_state.saved(self._hash(), PARTS)
        self._show(self._checked(PARTS))

    def save(self, text: str, *parts: str) -> str:
        """Return the screen after a save that changed these parts."""
        self.path.write_text(text, encoding="utf-8")
        self.file_state.saved(self._hash(), parts)
        return self._show(self._checked(parts))

    def check_together(self) -> str:
        """Return the screen after checking all parts together, each of which passes alone."""
        return self._show(self._checked(PARTS))

    def press(self, key: str) -> str:
        """Return the screen after a key."""
        if key == "h":
            return self._show(self.file_state.give_hint())
        self.face.key(self.file_state, key)
        return self._show([])

    def screen(self) -> str:
        """Return the screen, without the empty lines above its footer."""
        lines = [line.rstrip() for line in self.face._painted]
        return re.sub(r"\n{3,}(?=h hint)", "\n\n", "\n".join(lines))

    def _hash(self) -> str:
        return hashlib.sha256(self.path.read_bytes()).hexdigest()

    def _checked(self, parts: tuple[str, ...]) -> list[Notice]:
        verdict = self.checker.check(self.path, list(parts), seed=0)
        return self.file_state.take(verdict)

    def _show(self, events: list[Notice]) -> str:
        self.face.tell(self.file_state, events, busy=False)
        return self.screen()


def screens_of_watch(checker: Checker) -> Iterator[str]:
    """Return the screens of the page, in its order."""
    learner = Learner(checker)
    yield learner.screen()
    norm = body_with("layer-norm-unbiased-variance")
    yield learner.save(learners_file(0, "LayerNorm", norm), "LayerNorm")
    yield draft_of_attention(checker)
    yield learner.press("h")
    closed = "(variance + self.eps).sqrt())"
    broken = learners_file(1).replace(closed, closed[:-1], 1)
    yield learner.save(broken, "LayerNorm")
    yield learner.save(learners_file(1), "LayerNorm")
    for number, part, body in [
        (1, "Embedding", body_with("embedding-scaled")),
        (2, "PositionalEmbedding", body_with("positional-embedding-no-batch-axis")),
        (3, "MultiHeadAttention", EINSUM.replace("SCALE", "residual.shape[-1] ** 0.5")),
        (3, "MultiHeadAttention", EINSUM.replace("SCALE", "query.shape[-1] ** 0.5")),
        (4, "MLP", reference_body("MLP").replace("gelu_tanh", "nn.functional.gelu")),
        (4, "MLP", ENDLESS),
        (5, "TransformerBlock", body_with("block-post-norm")),
        (7, None, ""),
        (8, "next_token_loss", body_with("loss-no-shift")),
        (9, "sample", body_with("sample-top-p-drops-crossing")),
        (10, "generate", body_with("generate-not-cropped")),
        (11, "learning_rate", body_with("schedule-first-step-zero")),
        (12, "parameter_groups", body_with("parameter-groups-by-axes")),
        (13, "train_step", body_with("train-step-equal-shares")),
    ]:
        if part is None:  # half-way: the table
            learner.save(learners_file(8), "TransformerBlock", "Unembedding", "Transformer")
            yield learner.press("t")
            learner.press("t")
            continue
        learner.save(learners_file(number), *PARTS[: number + 1])
        yield learner.save(learners_file(number, part, body), part)
    learner.save(learners_file(14), "train_step")
    learner.save(learners_file(15), "train")
    yield learner.check_together()
    done = Path("done.py")
    done.write_text(learners_file(15), encoding="utf-8")
    yield "$ gpt2-small check done.py\n" + checked(done, checker)


def draft_of_attention(checker: Checker) -> str:
    """Return the output of `check` for a first draft of attention."""
    before = FILE.read_bytes()
    FILE.write_text(DRAFT, encoding="utf-8")
    found = checker.check(FILE, ["MultiHeadAttention"], seed=0)
    FILE.write_bytes(before)
    return printed(verdict_screen.mending(found, "MultiHeadAttention"))


def checked(path: Path, checker: Checker) -> str:
    """Return the whole screen of `check`."""
    return printed(verdict_screen.whole(checker.check(path, None, seed=0)))


def printed(what: object) -> str:
    console = Console(file=StringIO(), width=WIDTH, color_system=None)
    with console.capture() as captured:
        console.print(what)
    return "\n".join(line.rstrip() for line in captured.get().strip("\n").split("\n"))


def screen_of_the_readme(checker: Checker) -> str:
    """Return the output of `check` for a whole file with one mistake in its attention."""
    FILE.write_text(edited_text(mistake.find("attention-scale-d-model")), encoding="utf-8")
    return checked(FILE, checker)


IS_A_SCREEN = re.compile(r"my_gpt2\.py  sha256|MultiHeadAttention, line|\$ gpt2-small check done")


def with_screens(page: str, screens: Iterator[str]) -> str:
    """Return the page with its screens replaced by these, in order."""

    def put(block: re.Match[str]) -> str:
        return f"```text\n{next(screens)}\n```" if IS_A_SCREEN.match(block[1]) else block[0]

    return re.sub(r"```text\n(.*?)```", put, page, flags=re.DOTALL)


def pages() -> dict[Path, str]:
    """Return both pages with newly generated screens."""
    found = {page: page.read_text(encoding="utf-8") for page in (README, LEARNERS)}
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), Checker() as checker:
        found[README] = with_screens(found[README], iter([screen_of_the_readme(checker)]))
        found[LEARNERS] = with_screens(found[LEARNERS], screens_of_watch(checker))
    return found


if __name__ == "__main__":
    for page, text in pages().items():
        page.write_text(text, encoding="utf-8")
        print(f"Wrote {page.relative_to(ROOT)}.")
