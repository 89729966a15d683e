"""Chat or complete texts in Streamlit, with token probabilities.

python demos/streamlit_app.py --model runs/stories
"""

import argparse
import html
import math
import sys
from collections.abc import Iterable
from dataclasses import replace

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.web.cli import main as streamlit

from gpt2_small import binding
from gpt2_small.errors import UserError
from gpt2_small.generation import Chat, DrawnToken, LoadedModel, SamplingOptions, Stream
from gpt2_small.generation import open_model as open_model_once
from gpt2_small.generation.terminal_text import visible

SHADES = ((0.5, "transparent"), (0.2, "#fdf0d8"), (0.05, "#fae0b0"), (0.01, "#f4c87d"))
STRONGEST = "#e9ab4c"


@st.cache_resource
def open_model(name: str) -> LoadedModel:
    """Open the model, once for all sessions."""
    return open_model_once(name)


def shaded(steps: Iterable[DrawnToken]) -> str:
    """Return the tokens as escaped HTML, shaded by their probability."""
    spans = []
    for step in steps:
        p = math.exp(step.log_probability or 0.0)
        shade = next((colour for least, colour in SHADES if p >= least), STRONGEST)
        text = html.escape(visible(step.text)).replace("\n", "↵<br>")
        spans.append(f'<span style="background:{shade}" title="{p:.1%}">{text}</span>')
    style = "white-space:pre-wrap;font-family:serif;font-size:1.15rem;line-height:1.8"
    return (
        f'<div style="{style};color:#1d1c1a;background:#fff;padding:.5rem">{"".join(spans)}</div>'
    )


def write(stream: Iterable[DrawnToken], steps: list[DrawnToken]) -> None:
    """Show tokens as they are drawn; a rerun, such as Stop's, ends it and keeps the text so far."""
    place = st.empty()
    for step in stream:
        steps.append(step)
        place.html(shaded(steps))


def options() -> SamplingOptions:
    """Show the sidebar's sampling options, and return them."""
    with st.sidebar:
        st.button("Stop")  # any click reruns the script, which stops generation
        return SamplingOptions(
            max_new_tokens=int(st.number_input("Tokens", 1, 1000, 60)),
            temperature=st.slider("Temperature", 0.0, 2.0, 1.0),
            top_k=int(st.number_input("Top-k (0: all)", 0, 50_000, 0)) or None,
            seed=int(st.number_input("Seed", 0, 2**31, 0)),
            candidates=0,
        )


def chat(loaded: LoadedModel, sampling: SamplingOptions) -> None:
    """Show a conversation; its turns are kept in the session."""
    if "talk" not in st.session_state:
        st.session_state["talk"] = Chat(binding.bound(), loaded, sampling)
    talk = st.session_state["talk"]
    talk.options = replace(sampling, stop_tokens=talk.options.stop_tokens)
    for turn in talk.turns:
        with st.chat_message(turn.role):
            st.text(visible(turn.text)) if turn.role == "user" else st.html(shaded(turn.steps))
    if message := st.chat_input("Say something"):
        with st.chat_message("user"):
            st.text(visible(message))
        with st.chat_message("assistant"):
            write(talk.reply(message), [])


def complete(loaded: LoadedModel, sampling: SamplingOptions) -> None:
    """Show a prompt and its completion; the last text stays until the next."""
    prompt = st.text_area("Prompt", "Once upon a time")
    if st.button("Write", type="primary"):
        st.session_state["steps"] = []
        write(Stream(binding.bound(), loaded, [prompt], sampling), st.session_state["steps"])
    elif "steps" in st.session_state:
        st.html(shaded(st.session_state["steps"]))


def model_name() -> str:
    """The model of the command line. An unknown flag ends the program with a message."""
    parser = argparse.ArgumentParser(description="Chat or complete texts in Streamlit.")
    parser.add_argument("--model", default="runs/stories", help="run, folder or Hub name")
    return str(parser.parse_args().model)


def start() -> None:
    """Run this file with Streamlit, on this machine's own address, without usage statistics."""
    model_name()
    settings = ("--browser.gatherUsageStats=false", "--server.address=127.0.0.1")
    sys.argv = ["streamlit", "run", __file__, *settings, "--", *sys.argv[1:]]
    streamlit()


def main() -> None:
    """Open the model, and show its chat or completion."""
    st.set_page_config(page_title="gpt2-small")
    try:
        loaded = open_model(model_name())
        st.caption(visible(loaded.name))
        sampling = options()
        (chat if loaded.tokenizer.roles is not None else complete)(loaded, sampling)
    except UserError as error:
        st.text(f"error: {visible(str(error))}")


if get_script_run_ctx() is None:
    start()
else:
    main()
