"""Test demos/streamlit_app.py: continuation, chat, stop, and escaped text."""

import sys
from typing import TYPE_CHECKING

import pytest
from app_pages import small_run
from processes import ROOT

from gpt2_small import binding
from gpt2_small.generation import SamplingOptions, Stream, open_model

if TYPE_CHECKING:
    from streamlit.testing.v1 import AppTest

pytestmark = pytest.mark.slow

SCRIPT = ROOT / "demos/streamlit_app.py"


@pytest.fixture(params=["byte", "byte-chat"])
def run(request, solution, tmp_path):
    return small_run(solution, tmp_path / "run", tokenizer_name=request.param)


@pytest.fixture
def app(run, monkeypatch):
    return opened(monkeypatch, run)


def opened(monkeypatch, model) -> "AppTest":
    """Return the demo of a model; importing Streamlit takes a second."""
    testing = pytest.importorskip("streamlit.testing.v1", reason="Streamlit is not installed")
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), "--model", str(model)])
    return testing.AppTest.from_file(str(SCRIPT), default_timeout=120)


def written(app: "AppTest") -> None:
    next(button for button in app.button if button.label == "Write").click().run()
    assert not app.exception


def htmls(app: "AppTest") -> list[str]:
    return [element.proto.body for element in app.get("html")]


@pytest.mark.parametrize("run", ["byte"], indirect=True)
def test_a_prompts_continuation_equals_a_streams(app, run) -> None:
    app.run()
    app.number_input[0].set_value(7)
    app.text_area[0].set_value("A <b>cat</b>")
    written(app)
    loaded = open_model(run)
    stream = Stream(
        binding.bound(), loaded, ["A <b>cat</b>"], SamplingOptions(max_new_tokens=7, seed=0)
    )
    list(stream)
    [shown] = htmls(app)
    assert shown.count("<span") == 7
    app.run()
    assert htmls(app) == [shown]  # it remains after another click


@pytest.mark.parametrize("run", ["byte"], indirect=True)
def test_stop_keeps_the_text_so_far(app, monkeypatch) -> None:
    from streamlit.runtime.scriptrunner import RerunData, RerunException

    def stopped(stream: Stream):
        for number, step in enumerate(original(stream)):
            if number == 3:
                raise RerunException(RerunData())  # raised in the script by a click on Stop
            yield step

    app.run()
    original = Stream.__iter__
    monkeypatch.setattr(Stream, "__iter__", stopped)
    written(app)
    [shown] = htmls(app)
    assert shown.count("<span") == 3


@pytest.mark.parametrize("run", ["byte-chat"], indirect=True)
def test_a_conversation_works_and_hostile_text_is_escaped(app) -> None:
    app.run()
    app.chat_input[0].set_value("<img src=x> ![](y)").run()
    assert not app.exception
    assert app.chat_message[0].text[0].value == "<img src=x> ![](y)"
    assert not app.markdown
    app.chat_input[0].set_value("again").run()
    assert len(app.chat_message) == 4


@pytest.mark.parametrize("run", ["byte-chat"], indirect=True)
def test_options_changed_during_a_conversation_shape_the_next_answer(app) -> None:
    app.run()
    app.chat_input[0].set_value("one").run()
    app.number_input[0].set_value(3).run()
    app.chat_input[0].set_value("two").run()
    assert not app.exception
    assert htmls(app)[-1].count("<span") == 3


@pytest.mark.parametrize("run", ["byte"], indirect=True)
def test_a_missing_model_is_reported_in_one_sentence(run, monkeypatch) -> None:
    app = opened(monkeypatch, "missing").run()
    assert not app.exception
    assert "missing" in app.text[0].value
