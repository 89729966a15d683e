"""Build OpenAssistant's message trees, and extract conversations from them.

Köpf et al. 2023, "OpenAssistant Conversations". A tree is stored as rows of messages in any order,
or as one nested object.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from gpt2_small.data.conversations.conversation import Audit, RawConversation, RawTurn
from gpt2_small.data.conversations.record_shapes import BadRow, Record
from gpt2_small.errors import UserError

OTHER_LANGUAGE = "trees in another language than"
READY = "ready_for_export"
BEST = "best"
PATHS = (BEST, "all")
KINDS_OF_ROLE = {"prompter": "user", "assistant": "assistant"}
# More turns than in any tree; a deeper one is damaged.
DEEPEST = 200


@dataclass
class Message:
    """One message of a tree, and the replies to it."""

    id: str
    parent: str | None
    text: str
    role: str
    lang: str
    rank: int | None
    is_deleted: bool
    is_accepted: bool | None
    tree_state: str | None
    replies: list["Message"] = field(default_factory=list)


def conversations(
    rows: Iterable[Record], *, lang: str | None, paths: str, audit: Audit
) -> Iterator[RawConversation]:
    """The conversations of trees: one for each tree with `best`, one for each leaf with `all`.

    With `all` each assistant message is a target in the first conversation that contains it alone.

    lang: of a tree's prompt; None for every language.
    audit: counts messages and trees that are left out.

    Raises UserError for rows that do not form trees.
    """
    for root in _trees(rows, audit):
        if why := _refused(root, lang):
            audit.read += 1
            audit.dropped[why] += 1
            continue
        trained: set[str] = set()
        for path in _paths(root, paths, audit.changed):
            turns = []
            for message in path:
                turns.append(
                    RawTurn(
                        KINDS_OF_ROLE.get(message.role, message.role),
                        message.text,
                        is_trained=message.id not in trained,
                    )
                )
                trained.add(message.id)
            yield RawConversation(tuple(turns), key=root.text)


def _refused(root: Message, lang: str | None) -> str | None:
    if root.tree_state is not None and root.tree_state != READY:
        return f"trees that are not {READY}"
    if root.is_deleted:
        return "trees whose prompt is deleted"
    if root.is_accepted is False:
        return "trees whose prompt was not accepted"
    if lang is not None and root.lang != lang:
        return f"{OTHER_LANGUAGE} {lang}"
    return None


def _paths(root: Message, paths: str, changed: Counter[str]) -> Iterator[list[Message]]:
    """The paths from the prompt to the leaves, without deleted replies and those without a rank.

    The last turn of a path is dropped if it is the user's.
    """
    unfinished: list[list[Message]] = [[root]]
    finished: set[tuple[str, ...]] = set()
    while unfinished:
        path = unfinished.pop()
        replies = _usable(path[-1], changed)
        if paths == BEST:
            replies = replies[:1]
        unfinished += [[*path, reply] for reply in reversed(replies)]
        if replies:
            continue
        trimmed = path[:-1] if path[-1].role == "prompter" and len(path) > 1 else path
        if (ids := tuple(message.id for message in trimmed)) not in finished:
            finished.add(ids)
            yield trimmed


def _usable(message: Message, changed: Counter[str]) -> list[Message]:
    """The usable replies in order of rank; a reply without rank is usable only without siblings."""
    usable = [reply for reply in message.replies if not reply.is_deleted]
    changed["deleted replies, left out"] += len(message.replies) - len(usable)
    if len(usable) > 1:
        ranked = [reply for reply in usable if reply.rank is not None]
        changed["replies without a rank among siblings, left out"] += len(usable) - len(ranked)
        usable = ranked
    return sorted(usable, key=lambda reply: (reply.rank or 0, reply.id))


def _trees(rows: Iterable[Record], audit: Audit) -> Iterator[Message]:
    """Build the trees from rows in any order; a tree is its prompt with its replies."""
    by_id: dict[str, Message] = {}
    for number, row in enumerate(rows, start=1):
        try:
            found = list(_nested(row) if "prompt" in row else [_message(row)])
        except BadRow as error:
            raise UserError(f"row {number} is not an oasst message: {error}") from None
        for message in found:
            if message.id in by_id:
                audit.changed["repeated messages, left out"] += 1
            else:
                by_id[message.id] = message
    for message in by_id.values():
        if message.parent is not None:
            if message.parent in by_id:
                by_id[message.parent].replies.append(message)
            else:
                audit.changed["messages whose parent is missing, left out with their replies"] += 1
    for message in by_id.values():
        if message.parent is None:
            yield message
    _check_cycles(by_id)


def _check_cycles(by_id: Mapping[str, Message]) -> None:
    """Raises UserError for messages that form a cycle."""
    checked: set[str] = set()
    for message in by_id.values():
        ancestors: set[str] = set()
        current: Message | None = message
        while current is not None and current.id not in checked:
            if current.id in ancestors:
                raise UserError(f"message {current.id} answers itself; the file is damaged")
            ancestors.add(current.id)
            current = by_id.get(current.parent) if current.parent is not None else None
        checked |= ancestors


def _nested(row: Record) -> Iterator[Message]:
    """The messages of a tree that is stored as one row."""
    state = row.get("tree_state")
    unread: list[tuple[Any, str | None, int]] = [(row["prompt"], None, 0)]
    while unread:
        found, parent, depth = unread.pop()
        if not isinstance(found, dict):
            raise BadRow("a message of its tree is not an object")
        if depth > DEEPEST:
            raise BadRow(f"its tree is deeper than {DEEPEST} turns")
        message = _message({**found, "parent_id": parent, "tree_state": state})
        yield message
        replies = found.get("replies") or []
        if not isinstance(replies, list):
            raise BadRow("its replies are not a list")
        unread += [(reply, message.id, depth + 1) for reply in replies]


def _message(row: Record) -> Message:
    id, parent, text, role = (row.get(name) for name in ("message_id", "parent_id", "text", "role"))
    for name, value in (("message_id", id), ("text", text), ("role", role)):
        if not isinstance(value, str):
            raise BadRow(f"its {name} is {value!r}, not a text")
    if parent is not None and not isinstance(parent, str):
        raise BadRow(f"its parent_id is {parent!r}, not a text")
    if role not in KINDS_OF_ROLE:
        raise BadRow(f"its role is {role!r}; oasst has prompter and assistant")
    rank = row.get("rank")
    if isinstance(rank, float) and rank == rank and rank == int(rank):
        rank = int(rank)  # pandas stores a column of whole numbers with gaps as floats
    if isinstance(rank, float) and rank != rank:
        rank = None
    if rank is not None and type(rank) is not int:
        raise BadRow(f"its rank is {rank!r}, not a whole number")
    for name in ("deleted", "review_result"):
        if row.get(name) not in (None, True, False):
            raise BadRow(f"its {name} is {row[name]!r}, not true or false")
    return Message(
        id=str(id),
        parent=parent,
        text=str(text),
        role=str(role),
        lang=str(row.get("lang")),
        rank=rank,
        is_deleted=bool(row.get("deleted")),
        is_accepted=row.get("review_result"),
        tree_state=row.get("tree_state"),
    )
