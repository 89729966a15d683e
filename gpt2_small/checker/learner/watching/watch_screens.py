"""Render `watch`: a redrawn screen, or plain lines without a terminal."""

from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from gpt2_small.checker.learner import progress, verdict_screen
from gpt2_small.checker.learner.watching.watch_state import FileState, Notice
from gpt2_small.checker.report_formats import located
from gpt2_small.checker.verdict import PartReport

_KEYS = "h hint   n next   t {other}   q quit"


class WatchScreen:
    """A terminal's screen: the part in focus in detail, or a table of all parts."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._table = False
        self._news: tuple[str | None, list[Text]] = None, []
        self._painted: list[str] = []

    def tell(self, file_state: FileState, events: Sequence[Notice], busy: bool) -> None:
        """Redraw the screen if it has changed."""
        text = file_state.verdict().sha256
        of_text, news = self._news
        news = news if text == of_text else []
        finished = [event for event in events if event.kind in ("finished", "whole")]
        self._news = text, [*news, *(celebration(event, file_state) for event in finished)]
        lines = self._lines(file_state, busy, self._console.size.height)
        if lines != self._painted:
            self._painted = lines
            self._console.file.write("\x1b[H\x1b[2J" + "\n".join(lines))
            self._console.file.flush()

    def key(self, file_state: FileState, pressed: str) -> None:
        """Switch between one part and the table."""
        if pressed == "t":
            self._table = not self._table

    def _lines(self, file_state: FileState, busy: bool, height: int) -> list[str]:
        """The screen's lines, with the keys in the last one."""
        top = self._rendered(self._top(file_state, busy))
        foot = self._rendered(foot_of(file_state, "one part" if self._table else "all parts"))
        room = max(height - len(top) - len(foot) - 2, 3)
        middle = self._rendered(self._middle(file_state))
        if len(middle) > room:
            middle = [*middle[: room - 1], "..."]
        return [*top, "", *middle, *[""] * (room - len(middle) + 1), *foot]

    def _rendered(self, what: RenderableType) -> list[str]:
        with self._console.capture() as captured:
            self._console.print(what)
        return [line.rstrip() for line in captured.get().rstrip("\n").split("\n")]

    def _top(self, file_state: FileState, busy: bool) -> RenderableType:
        done = len(file_state.done())
        bar = "#" * done + "-" * (len(file_state.parts) - done)
        said = f"{done} of {len(file_state.parts)} parts done  "
        heading = verdict_screen.heading(file_state.verdict())
        if busy:
            heading.append("  checking ...", style="dim")
        return Group(heading, Text.assemble(said, (bar, "green")))

    def _middle(self, file_state: FileState) -> RenderableType:
        if file_state.problem is not None:
            return Text(file_state.problem, style="red")
        shown: list[RenderableType] = [*self._news[1]]
        if self._table:
            shown += [verdict_screen.table(file_state.verdict()), Text()]
        shown.append(about_part(file_state))
        if file_state.hint is not None:
            hint = file_state.hint
            shown.append(Padding(hint_line(hint), (1, 0, 0, 0)))
            if hint.number == hint.of:
                last = verdict_screen.after_last_hint(hint.part, file_state.shown_as)
                shown.append(Text(last, style="dim"))
        return Group(*shown)


class WatchLines:
    """Plain lines, one per message."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said: dict[str, str] = {}
        self._begun = False

    def tell(self, file_state: FileState, events: Sequence[Notice], busy: bool) -> None:
        """Print new messages."""
        for event in events:
            if event.kind in ("error", "gone"):
                self._print(event.text)
                self._said.clear()
            elif event.kind in ("finished", "whole"):
                self._print(celebration(event, file_state).plain)
                self._said.pop(event.part, None)
            elif event.kind == "verdict" and self._begun:
                self._say_of(file_state, event.part)
        if not self._begun and file_state.is_known():
            self._begin(file_state)

    def key(self, file_state: FileState, pressed: str) -> None:
        """Ignore keys."""

    def _begin(self, file_state: FileState) -> None:
        """Print the state after the first complete check."""
        self._begun = True
        self._print(f"{len(file_state.done())} of {len(file_state.parts)} parts done.")
        verdict = file_state.verdict()
        for part in file_state.parts:
            if verdict.state_of(part) == "failed":
                self._say_of(file_state, part)
            self._said.setdefault(part, part_line(file_state, part))
        self._print(foot_of(file_state).plain.splitlines()[-1])

    def _say_of(self, file_state: FileState, part: str) -> None:
        line = part_line(file_state, part)
        if line != self._said.get(part):
            self._said[part] = line
            self._print(line)

    def _print(self, text: str) -> None:
        self._console.print(text, markup=False, soft_wrap=True)


def celebration(event: Notice, file_state: FileState) -> Text:
    """The message that a part, or all of them, are finished."""
    if event.kind == "finished":
        done = len(file_state.done())
        return Text(
            f"{event.part} is done! {done} of {len(file_state.parts)} parts.", style="bold green"
        )
    said = verdict_screen.all_done(file_state.verdict())
    return Text(f"{said} You have written GPT-2.", style="bold green")


def about_part(file_state: FileState) -> RenderableType:
    """The part in focus: its failure, or the next step."""
    part, verdict = file_state.shown_part(), file_state.verdict()
    state = verdict.state_of(part) if part is not None else "passed"
    if part is not None and state == "failed":
        return verdict_screen.mending(verdict, part)
    if len(file_state.done()) == len(file_state.parts):
        text = (
            ""
            if file_state.complete
            else "Every part holds separately; now all of them together ..."
        )
        return Text(text)
    lines: list[RenderableType] = []
    if part is not None and state == "passed":
        lines.append(Text(f"{part} holds: {len(verdict.of(part))} checks passed."))
    if part is not None and state in ("not_written", "waiting") and verdict.of(part):
        lines.append(verdict_screen.next_step(verdict, part))
    elif file_state.is_known():
        lines.append(verdict_screen.advice(verdict))
    return Group(*lines)


def part_line(file_state: FileState, part: str) -> str:
    """A part's state as one plain line."""
    verdict = file_state.verdict()
    state = verdict.state_of(part)
    if state != "failed":
        words = {"passed": "done", "not_written": "not written yet", "waiting": "waiting"}
        return f"{part}: {words[state]}"
    first = next(result for result in verdict.of(part) if result.status == "failed")
    naming = verdict.reports.get(part, PartReport()).naming.replace("\n", " ")
    return " ".join(filter(None, [f"{part}: wrong. Failed: {located(first)}.", naming]))


def hint_line(hint: progress.Hint) -> Text:
    """Format a hint with its part and number."""
    return Text.assemble((f"{hint.title}: ", "bold"), hint.text)


def foot_of(file_state: FileState, other: str = "all parts") -> Text:
    """The keys, and the file of hints and progress."""
    where = progress.path_for(file_state.path).name
    kept = f"Hints and progress are saved in {where}, beside your file."
    if not file_state.kept:
        kept = f"{where} cannot be written, so hints and progress are not kept."
    return Text(f"{_KEYS.format(other=other)}\n{kept}", style="dim")
