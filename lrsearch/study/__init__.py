"""The words of the contract as frozen models, each defined once: in YAML, over HTTP and in the database."""

from .catalog import Catalog, Parameter
from .comparison import Arm, ArmResult, Comparison, ComparisonResult, ComparisonSpec, Curve, Duel
from .diagnosis import Diagnosis, Diagnostics, LayerSigns, LayerState, Verdict
from .event import (
    EVENTS,
    AnyEvent,
    BestEvent,
    Event,
    ProgressEvent,
    ResetEvent,
    StudyEvent,
    TrialsEvent,
    WarningEvent,
)
from .lease import (
    Assignment,
    Attempt,
    Directive,
    Lease,
    LeaseRequest,
    Rejected,
    Report,
    ReportAnswer,
    ReportRequest,
    Result,
    TaskDefaults,
    TaskOffer,
    Worker,
)
from .means import by_epoch, mean_metrics, mean_of, spread_of
from .optimizers import OPTIMIZERS, Adagrad, Adam, AdamW, AnyOptimizer, OptimizerSpec, Ranger, Rmsprop, Sgd
from .preview import Cost, Preview, SampleCurve
from .pruners import AshaPruner, HyperbandPruner, MedianPruner, NoPruner, RungPruner
from .range_test import (
    RangeTest,
    RangeTestResult,
    RangeTestSpec,
    SweepLosses,
    SweepSpec,
)
from .space import Fixed, Part, Range, SpaceSpec, nested
from .spec import (
    EXTERNAL,
    Budget,
    Confirm,
    Direction,
    Limits,
    Objective,
    SamplerSpec,
    StudySpec,
    TrainSpec,
    read_spec,
)
from .stop import Stop, Watch
from .text import FreeJson, Metric, Name, Text, now
from .token import GRANTS, SCOPES, AuditEntry, NewToken, Scope, Token, TokenRequest
from .trial import (
    ENDED,
    TERMINAL,
    Best,
    Checkpoint,
    Confirmed,
    Divergence,
    EpochCounts,
    EpochProgress,
    Origin,
    Outcome,
    Page,
    Point,
    Progress,
    Purpose,
    Seconds,
    Study,
    StudyPatch,
    StudyState,
    Trial,
    TrialRequest,
    TrialState,
)

__all__ = [
    "ENDED", "EVENTS", "EXTERNAL", "GRANTS", "OPTIMIZERS", "SCOPES", "TERMINAL", "Adagrad", "Adam", "AdamW", "AnyEvent",
    "AnyOptimizer", "Arm", "ArmResult", "AshaPruner", "Assignment", "Attempt", "AuditEntry", "Best", "BestEvent",
    "Budget", "Catalog", "Checkpoint", "Comparison", "ComparisonResult", "ComparisonSpec", "Confirm", "Confirmed",
    "Cost", "Curve", "Diagnosis", "Diagnostics", "Direction", "Directive", "Divergence", "Duel", "EpochCounts",
    "EpochProgress", "Event", "Fixed", "FreeJson", "HyperbandPruner", "LayerSigns", "LayerState", "Lease",
    "LeaseRequest", "Limits", "MedianPruner", "Metric", "Name", "NewToken", "NoPruner", "Objective", "OptimizerSpec",
    "Origin", "Outcome", "Page", "Parameter", "Part", "Point", "Preview", "Progress", "ProgressEvent", "Purpose",
    "Range", "RangeTest", "RangeTestResult", "RangeTestSpec", "Ranger", "Rejected", "Report", "ReportAnswer",
    "ReportRequest", "ResetEvent", "Result", "Rmsprop", "RungPruner", "SampleCurve", "SamplerSpec", "Scope", "Seconds",
    "Sgd", "SpaceSpec", "Stop", "Study", "StudyEvent", "StudyPatch", "StudySpec", "StudyState", "SweepLosses",
    "SweepSpec", "TaskDefaults", "TaskOffer", "Text", "Token", "TokenRequest", "TrainSpec", "Trial", "TrialRequest",
    "TrialState", "TrialsEvent", "Verdict", "WarningEvent", "Watch", "Worker", "by_epoch", "mean_metrics", "mean_of",
    "nested", "now", "read_spec", "spread_of",
]  # fmt: skip
