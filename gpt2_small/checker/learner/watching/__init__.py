"""Watch a learner's file: detect saves, check in the background, redraw the screen."""
