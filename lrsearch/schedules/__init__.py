"""Schedules: pure numpy, no framework, no input or output."""

from .controls import OPTIMIZERS as SWITCHES
from .controls import OWN, WIDER, Column, controls, trimmed
from .families import CLOSED_FORMS, FAMILIES, AnySchedule, Constant, Cosine, Exponential, Step
from .formula import FloatArray, Formula
from .groups import GROUP_NAME, HORIZON, GroupName, group_fields
from .length import Length, listed, required_updates_per_epoch, share_of, unequal, whole_updates, without_shares
from .metric_driven import MetricDriven
from .rescale import RULES, Rescaled, Rescaling, rescaled
from .schedule import Clock, History, Schedule
from .warmup import WARMUPS, WarmupShape

__all__ = [
    "CLOSED_FORMS",
    "FAMILIES",
    "GROUP_NAME",
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
    "GroupName",
    "History",
    "Length",
    "MetricDriven",
    "Rescaled",
    "Rescaling",
    "Schedule",
    "Step",
    "WarmupShape",
    "controls",
    "group_fields",
    "listed",
    "required_updates_per_epoch",
    "rescaled",
    "share_of",
    "trimmed",
    "unequal",
    "whole_updates",
    "without_shares",
]
