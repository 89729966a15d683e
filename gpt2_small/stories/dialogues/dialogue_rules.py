"""Define the dialogues: a request, the requested story, and questions about it.

A dialogue is one derivation of one grammar (`grammar.py`), in which the request fills two of the
story's slots. So the conditional probability of every word is exact here too: the request fixes
words of the story, and the story fixes the answers up to their form.
"""

import re

from gpt2_small.stories.grammar import Grammar
from gpt2_small.stories.rules import BEGIN, RULES, SLOTS

USER = "<|user|>"
ASSISTANT = "<|assistant|>"
# The token after each turn, and between stories.
END = BEGIN

# The slots that a request fills.
ASKED = ("hero", "thing")

_REPLY = f"{END} {ASSISTANT}"

# One question on each line, and the rule of its answer.
_ABOUT_THE_HERO = (
    f"What was {{hero}} ? {_REPLY} {{its-job}}",
    f"Where did {{hero}} live ? {_REPLY} {{its-home}}",
    f"How did {{hero}} feel ? {_REPLY} {{its-mood}}",
)
_ABOUT_OTHERS = (
    f"Who came along ? {_REPLY} {{its-pet@pet}}",
    "Who {its-beginning@thing}",
)
_ABOUT_THE_JOURNEY = (
    f"What stood in the way ? {_REPLY} {{its-obstacle}}",
    f"Who helped {{hero}} ? {_REPLY} {{its-helper}}",
    f"Where was the {{thing}} ? {_REPLY} {{its-place}}",
)


def _lines(*lines: str) -> str:
    return "\n".join(lines)


DIALOGUE_RULES = {
    "dialogue": f"{USER} {{request}} {_REPLY} {{story}} {END} {USER} {{first-question}}",
    "request": """
        2x Tell of {hero=} and the {thing=} .
        Tell me of the {thing=} and of {hero=} .
        What became of {hero=} and the {thing=} ?
    """,
    "first-question": _lines(*(f"{line} {END} {USER} {{then}}" for line in _ABOUT_THE_HERO)),
    "then": _lines(
        *(f"3x {line} {END} {USER} {{last}}" for line in _ABOUT_OTHERS),
        *(f"{line} {END}" for line in _ABOUT_THE_JOURNEY),
    ),
    "last": _lines(*(f"{line} {END}" for line in _ABOUT_THE_JOURNEY)),
    "its-job": """
        2x {job.A} .
        {hero.She} was {job.a} .
    """,
    "its-home": """
        2x {home.Inside} .
        {hero.She} lived {home.inside} .
    """,
    "its-mood": """
        2x {hero.She} was {mood} .
        {hero} was {mood} .
    """,
    "its-pet animal": """
        2x {pet.A} named {petname} .
        {petname} , {pet.a} .
    """,
    "its-pet nobody": """
        2x Nobody .
        {hero.She} was alone .
    """,
    "its-beginning lost": f"""
        stole the {{thing}} ? {_REPLY} {{thief.A}} .
        stole the {{thing}} ? {_REPLY} It was {{thief.a}} .
    """,
    "its-beginning gift": f"wished for the {{thing}} ? {_REPLY} {{its-kin}}",
    "its-beginning dream": f"""
        dreamed of the {{thing}} ? {_REPLY} {{hero}} .
        dreamed of the {{thing}} ? {_REPLY} It was {{hero}} .
    """,
    "its-beginning errand": f"was glad of the {{thing}} ? {_REPLY} {{its-kin}}",
    "its-kin": """
        2x {hero.Hers} {kin} .
        It was {hero.hers} {kin} .
    """,
    "its-obstacle": """
        2x {obstacle.A} .
        It was {obstacle.a} .
    """,
    "its-helper": """
        2x {helper.A} .
        {helper.A} helped {hero.her} .
    """,
    "its-place": """
        2x At the {place} .
        It was at the {place} .
    """,
}


def _with_the_asked(rules: dict[str, str]) -> dict[str, str]:
    """Rewrite the stories' rules to name the requested slots instead of filling them.

    A story's beginning then depends on the kind of the requested thing.
    """
    asked = "|".join(ASKED)
    kinds: dict[str, dict[str, list[str]]] = {}
    for name, text in rules.items():
        for line in filter(None, map(str.strip, text.splitlines())):
            if kind := re.search(rf"{{({asked})=\w*:(\w+)}}", line):
                kinds.setdefault(name, {}).setdefault(kind[2], []).append(line)
    rewritten = {name: text for name, text in rules.items() if name not in kinds}
    for name, lines_of in kinds.items():
        rewritten |= {f"{name} {kind}": _lines(*lines) for kind, lines in lines_of.items()}

    def named(text: str) -> str:
        for name in kinds:
            text = text.replace(f"{{{name}}}", f"{{{name}@thing}}")
        text = re.sub(rf"{{({asked})=(?::\w+)?}}", r"{\1}", text)
        return re.sub(rf"{{({asked})=(\w+)(?::\w+)?}}", r"{\1.\2}", text)

    return {name: named(text) for name, text in rewritten.items()}


DIALOGUES = Grammar(SLOTS, {**_with_the_asked(RULES), **DIALOGUE_RULES}, start="dialogue")
