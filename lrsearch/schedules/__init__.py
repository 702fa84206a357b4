"""Schedules: pure numpy, no framework, no input or output."""

from .families import FAMILIES, AnySchedule, Constant, Cosine, Exponential, Step
from .formula import FloatArray, Formula
from .length import Length, share_of, whole_updates
from .schedule import HORIZON, Clock, Schedule, required_updates_per_epoch
from .warmup import WARMUPS, WarmupShape

__all__ = [
    "FAMILIES",
    "HORIZON",
    "WARMUPS",
    "AnySchedule",
    "Clock",
    "Constant",
    "Cosine",
    "Exponential",
    "FloatArray",
    "Formula",
    "Length",
    "Schedule",
    "Step",
    "WarmupShape",
    "required_updates_per_epoch",
    "share_of",
    "whole_updates",
]
