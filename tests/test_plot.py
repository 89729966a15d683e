"""The picture of a loss curve."""

import pytest
from matplotlib.figure import Figure
from matplotlib.legend import Legend

from gpt2_small.training.display import plot


@pytest.mark.parametrize("bigram", [0.2, 1.7, 2.6, 5.0])
def test_the_legend_covers_no_part_of_the_curves(tmp_path, monkeypatch, bigram):
    drawn = []

    def figure(**settings):
        drawn.append(Figure(**settings))
        return drawn[-1]

    monkeypatch.setattr(plot, "Figure", figure)
    log = [{"step": step, "loss": 5 / step, "val_loss": 3.8} for step in range(1, 100)]
    lines = {"uniform, ln V": 5.5, "best bigram": bigram}
    plot.save_loss_curve(tmp_path / "loss.png", log, title="A run", reference_lines=lines)
    (picture,) = drawn
    (axes,) = picture.axes
    (legend,) = picture.findobj(Legend)
    assert not legend.get_window_extent().overlaps(axes.get_window_extent())
