"""Write a tokenizer's chat template, a Jinja template for `apply_chat_template`."""

import json

from gpt2_small.tokenizers.chat_roles import ASSISTANT, USER, ChatTokenizer
from gpt2_small.tokenizers.protocol import Tokenizer
from gpt2_small.tokenizers.words import WordTokenizer

FILE = "chat_template.jinja"

# `generation` ... `endgeneration` encloses the targets, for return_assistant_tokens_mask.
TEMPLATE = """\
{%- set ns = namespace(system="") -%}
{%- for message in messages -%}
{%- if message["role"] == "system" -%}
{%- set ns.system = ns.system + message["content"] + BETWEEN -%}
{%- elif message["role"] == "user" -%}
{{- USER + ns.system + message["content"] + END -}}
{%- set ns.system = "" -%}
{%- elif message["role"] == "assistant" -%}
{{- ASSISTANT -}}
{%- generation -%}
{{- message["content"] + END -}}
{%- endgeneration -%}
{%- else -%}
{{- raise_exception("the roles are system, user and assistant, not " + message["role"]) -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- ASSISTANT -}}
{%- endif -%}
"""


def chat_template(tokenizer: Tokenizer, end: str) -> str:
    """The template of a tokenizer with roles.

    A system message is joined to the user's turn after it, as `prepare --chat` does.

    Args:
        end: the token that ends a turn, as spelled in the files.
    """
    base = tokenizer.base if isinstance(tokenizer, ChatTokenizer) else tokenizer
    literals = {
        "USER": USER,
        "ASSISTANT": ASSISTANT,
        "END": end,
        "BETWEEN": " " if isinstance(base, WordTokenizer) else "\n\n",
    }
    template = TEMPLATE
    for name, text in literals.items():
        template = template.replace(f" {name} ", f" {json.dumps(text, ensure_ascii=False)} ")
    return template
