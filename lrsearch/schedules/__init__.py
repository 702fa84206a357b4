"""Schedules: pure numpy, no framework, no input or output."""

from .controls import OPTIMIZERS as SWITCHES
from .controls import OWN, WIDER, Column, controls, trimmed
from .families import CLOSED_FORMS, FAMILIES, AnySchedule, Constant, Cosine, Exponential, Step
from .formula import FloatArray, Formula
from .length import Length, listed, required_updates_per_epoch, share_of, unequal, whole_updates, without_shares
from .metric_driven import MetricDriven
from .rescale import RULES, Rescaled, Rescaling, rescaled
from .schedule import HORIZON, Clock, History, Schedule
from .warmup import WARMUPS, WarmupShape

__all__ = [
    "CLOSED_FORMS",
    "FAMILIES",
    "HORIZON",
    "OWN",
    "RULES",
    "SWITCHES",
    "WARMUPS",
    "WIDER",
    "AnySchedule",
    "Clock",
    "Column",
    "Constant",
    "Cosine",
    "Exponential",
    "FloatArray",
    "Formula",
    "History",
    "Length",
    "MetricDriven",
    "Rescaled",
    "Rescaling",
    "Schedule",
    "Step",
    "WarmupShape",
    "controls",
    "listed",
    "required_updates_per_epoch",
    "rescaled",
    "share_of",
    "trimmed",
    "unequal",
    "whole_updates",
    "without_shares",
]
