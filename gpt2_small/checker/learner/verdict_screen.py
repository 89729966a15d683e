"""Render a verdict for a learner: the state of each part, then the first failure.

It fits 80 columns by 24 rows unless a message is long. Colours only repeat what words say.
"""

from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from gpt2_small.checker.verdict import (
    ABSENT,
    REMARK,
    STAND_INS,
    PartReport,
    Result,
    Status,
    Verdict,
)
from gpt2_small.errors import shell_word

WIDTH = 80
# The commands' default file.
DEFAULT_FILE = "my_gpt2.py"
_WORDS: dict[Status, tuple[str, str]] = {
    "passed": ("done", "green"),
    "failed": ("wrong", "bold red"),
    "not_written": ("not written", "dim"),
    "waiting": ("waiting", "yellow"),
}
_ALSO = 1
_PRINTED_LINES = 4


def console_for_learners(console: Console | None = None) -> Console:
    """A console of at most 80 columns that leaves numbers uncoloured and honours NO_COLOR."""
    console = console or Console()
    return Console(
        file=console.file, highlight=False, width=min(WIDTH, console.width), soft_wrap=False
    )


def whole(verdict: Verdict) -> RenderableType:
    """Render a verdict: file and hash, the parts, the first failure."""
    if verdict.error is not None:
        return Group(heading(verdict), Text(verdict.error, style="red"))
    rows: list[RenderableType] = [heading(verdict), "", table(verdict), ""]
    if any(verdict.state_of(part) == "waiting" for part in verdict.parts()):
        rows.append(Text("waiting: cannot be judged before other checks hold", style="dim"))
    return Group(*rows, advice(verdict), *notes(verdict))


def notes(verdict: Verdict) -> list[Text]:
    """Remarks on parts that pass: what only float32 has, and promises that fail no part."""
    remarks = []
    for part in verdict.parts():
        if verdict.state_of(part) != "passed":
            continue
        failed = [
            result
            for result in verdict.of(part)
            if result.message.startswith(REMARK) and STAND_INS not in result.message
        ]
        names = [d for d in ("float64", "bfloat16") if any(d in r.check for r in failed)]
        if names:
            remarks.append(f"{part} is right in float32 only, not in {' or '.join(names)}.")
        remarks += [
            f"{part}: {result.message.removeprefix(REMARK)}"
            for result in failed
            if not any(dtype in result.check for dtype in ("float64", "bfloat16"))
        ]
    return [Text(f"Remark: {remark}", style="dim") for remark in remarks]


def heading(verdict: Verdict) -> Text:
    """The file's name and hash."""
    text = Text(verdict.solution, style="bold")
    if verdict.sha256 is not None:
        text.append(f"  sha256 {verdict.sha256[:12]}", style="dim")
    return text


def table(verdict: Verdict) -> Table:
    """The parts' states in learning order, in two columns."""
    parts = verdict.parts()
    half = (len(parts) + 1) // 2
    grid = Table.grid(padding=(0, 2))
    for _ in range(2):
        grid.add_column(min_width=19)
        grid.add_column(min_width=17)
    for left, right in zip(parts[:half], [*parts[half:], None], strict=False):
        cells = [*_cells(verdict, left), *(_cells(verdict, right) if right else ("", ""))]
        grid.add_row(*cells)
    return grid


def _cells(verdict: Verdict, part: str) -> tuple[Text, Text]:
    state = verdict.state_of(part)
    words, style = _WORDS[state]
    results = verdict.of(part)
    if state == "failed":
        wrong = sum(result.status == "failed" for result in results)
        words = f"{words}, {wrong} of {len(results)}"
    return Text(part), Text(words, style=style)


def advice(verdict: Verdict) -> RenderableType:
    """The first failed part in detail, or the message that all parts pass."""
    part = verdict.first_to_mend()
    if part is None:
        return Text(all_done(verdict), style="bold green")
    return next_step(verdict, part)


def next_step(verdict: Verdict, part: str) -> RenderableType:
    """What is to be done about a part that does not pass."""
    state = verdict.state_of(part)
    if state == "failed":
        return mending(verdict, part)
    if state == "not_written":
        (first, *_) = (r for r in verdict.of(part) if r.status == "not_written")
        where = f" ({verdict.place(first.line)})" if first.line is not None else ""
        if "looks like it" in first.message:
            return Text(f"Next: {part}. {_sentence(first.message, verdict.all_parts)}")
        if first.message.startswith(ABSENT):
            return Text(f"Next: {part}. The file has no {part}.")
        return Text(f"Next: {part}. It is not written yet{where}.")
    (first, *_) = (r for r in verdict.of(part) if r.status == "waiting")
    return Text(": ".join(filter(None, (f"{part} waits", first.check, first.message))))


def all_done(verdict: Verdict) -> str:
    """The message that all parts pass."""
    checks = verdict.counts()["passed"]
    parts = verdict.parts()
    what = f"All {len(parts)} parts hold" if len(parts) > 1 else f"{parts[0]} holds"
    return f"{what}: {checks} checks passed."


def mending(verdict: Verdict, part: str) -> RenderableType:
    """The first failed claim of a part, its mistake, other failures, and the part's output."""
    failed = [result for result in verdict.of(part) if result.status == "failed"]
    first, others = failed[0], failed[1:]
    report = verdict.reports.get(part, PartReport())
    where = f", {verdict.place(first.line)}" if first.line is not None else ""
    lines: list[RenderableType] = [
        Text.assemble((f"{part}{where}. ", "bold red"), (f"Failed: {first.check}.", "bold")),
    ]
    if report.naming:
        lines.append(Padding(Text(report.naming, style="cyan"), (0, 0, 0, 2)))
    if report.location:
        sentence, *code = report.location
        lines.append(Padding(Text(sentence), (0, 0, 0, 2)))
        lines += [Text(line, style="bold", no_wrap=True, overflow="ellipsis") for line in code]
    lines.append(Padding(Text(_sentence(first.message, verdict.all_parts)), (0, 0, 0, 2)))
    if others:
        lines.append(Padding(Text(_also(others), style="dim"), (0, 0, 0, 2)))
    if report.mistakes:
        names = " and ".join(report.mistakes)
        option = file_option(verdict.solution)
        lines.append(Text(f"Mistake: {names}. For a hint: gpt2-small hint {part}{option}"))
    if report.printed:
        lines.append(Text(printed(report.printed), style="dim"))
    return Group(*lines)


def printed(text: str) -> str:
    """The last lines of a part's output, and the number of omitted ones."""
    lines = text.strip().splitlines()
    shown, earlier = lines[-_PRINTED_LINES:], len(lines) - _PRINTED_LINES
    more = f" ({earlier} more lines before)" if earlier > 0 else ""
    return f"It printed{more}: " + "\n            ".join(shown)


def file_option(solution: str) -> str:
    """A command's option for this file; empty for `./my_gpt2.py`."""
    is_file = solution.endswith((".py", ".ipynb"))
    return f" --file {shell_word(solution)}" if is_file and solution != DEFAULT_FILE else ""


def after_last_hint(part: str, solution: str) -> str:
    """The way out after a part's last hint."""
    command = f"gpt2-small show {part}{file_option(solution)}"
    return f"That was the last one. The reference: {command}"


def _also(others: list[Result]) -> str:
    named = "; ".join(result.check for result in others[:_ALSO])
    more = f" and {len(others) - _ALSO} more" if len(others) > _ALSO else ""
    return f"Also failing: {named}{more}."


def _sentence(message: str, parts: Sequence[str]) -> str:
    """Capitalise a message, unless it begins with a name such as `embed.W_E`."""
    word, *_ = message.split(maxsplit=1) or [""]
    is_name = "." in word or "_" in word or word in parts
    begun = message if is_name else f"{message[:1].upper()}{message[1:]}"
    return f"{begun}{'' if message.endswith(('.', '?')) else '.'}"
