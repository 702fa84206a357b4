"""Schedules: pure numpy, no framework, no input or output."""

from .families import CLOSED_FORMS, FAMILIES, AnySchedule, Constant, Cosine, Exponential, Step
from .formula import FloatArray, Formula
from .length import Length, share_of, whole_updates
from .metric_driven import MetricDriven
from .schedule import HORIZON, Clock, History, Schedule, required_updates_per_epoch
from .warmup import WARMUPS, WarmupShape

__all__ = [
    "CLOSED_FORMS",
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
    "History",
    "Length",
    "MetricDriven",
    "Schedule",
    "Step",
    "WarmupShape",
    "required_updates_per_epoch",
    "share_of",
    "whole_updates",
]
