"""Schedules and what came of them, drawn: as block characters in a terminal, and as PNG and SVG files."""

from .canvas import PICTURES
from .preview import paint_preview
from .sketch import sketch
from .study import paint_study, paint_trial
from .trained import Trained

__all__ = ["PICTURES", "Trained", "paint_preview", "paint_study", "paint_trial", "sketch"]
