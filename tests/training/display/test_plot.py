"""Test the plot of a loss curve."""

import pytest
from default_share import slowly
from matplotlib.figure import Figure
from matplotlib.legend import Legend

from gpt2_small.training.choice_scores import ACC
from gpt2_small.training.display import plot


@pytest.fixture
def drawn(monkeypatch):
    """Return the drawn figures."""
    drawn = []

    def figure(**settings):
        drawn.append(Figure(**settings))
        return drawn[-1]

    monkeypatch.setattr(plot, "Figure", figure)
    return drawn


@pytest.mark.parametrize(
    ("record", "shown"),
    [
        ({"loss": 5.0}, ["training batch"]),
        ({"loss": 5.0, "val_loss": float("nan")}, ["training batch"]),
        ({"loss": 5.0, "val_loss": 4.0}, ["training batch", "held-out text"]),
        ({"loss": 5.0, ACC: 0.0}, ["training batch", "choices, acc"]),
        ({}, []),
    ],
)
def test_the_legend_lists_every_curve_with_a_point(tmp_path, drawn, record, shown):
    log = [{"step": step, **record} for step in (1, 2)]
    plot.save_loss_curve(tmp_path / "loss.png", log, title="A run", reference_lines={})
    legends = drawn[0].findobj(Legend)
    assert [text.get_text() for legend in legends for text in legend.get_texts()] == shown


@pytest.mark.parametrize("bigram", [0.2, slowly(1.7), 2.6, slowly(5.0)])
def test_the_legend_covers_no_part_of_the_curves(tmp_path, drawn, bigram):
    log = [{"step": step, "loss": 5 / step, "val_loss": 3.8} for step in range(1, 100)]
    lines = {"uniform, ln V": 5.5, "best bigram": bigram}
    plot.save_loss_curve(tmp_path / "loss.png", log, title="A run", reference_lines=lines)
    (picture,) = drawn
    (axes,) = picture.axes
    (legend,) = picture.findobj(Legend)
    assert not legend.get_window_extent().overlaps(axes.get_window_extent())
