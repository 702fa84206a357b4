"""The tables: plain columns for what is filtered, ordered or counted, one column of JSON for the rest.

JSON is kept as text: Postgres' own type would lose the order of parameters and refuse some strings, and equal text
lets a spec be parsed once (see ``studies``).
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    MetaData,
    Named,
    Table,
    Text,
    TypedColumns,
    text,
)

from .columns import Moment, RowId

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class ComparisonColumns(TypedColumns):
    """A comparison; ``rest``: spec, result."""

    id: Named[int] = Column(RowId, primary_key=True)
    name: Named[str] = Column(Text, unique=True)
    owner: Named[str] = Column(Text)
    state: Named[str] = Column(Text)
    created_at: Named[datetime] = Column(Moment)
    rest: Named[str] = Column(Text)


COMPARISONS = Table("comparisons", METADATA, ComparisonColumns)


class StudyColumns(TypedColumns):
    """A study; ``rest``: spec, submitted, warnings, error. ``id`` is the order of creation."""

    id: Named[int] = Column(RowId, primary_key=True)
    name: Named[str] = Column(Text, unique=True)
    owner: Named[str] = Column(Text)
    state: Named[str] = Column(Text)
    comparison: Named[str | None] = Column(Text, ForeignKey(COMPARISONS.c.name, ondelete="SET NULL"), index=True)
    resolved: Named[bool] = Column(Boolean)
    updates_per_epoch: Named[int | None] = Column(BigInteger)
    created_at: Named[datetime] = Column(Moment)
    started_at: Named[datetime | None] = Column(Moment)
    finished_at: Named[datetime | None] = Column(Moment)
    rest: Named[str] = Column(Text)


STUDIES = Table("studies", METADATA, StudyColumns, Index(None, "state"))


class RangeTestColumns(TypedColumns):
    """A range test; ``rest``: spec, result, warnings, error, attempts, worker, started_at, finished_at."""

    id: Named[int] = Column(RowId, primary_key=True)
    name: Named[str] = Column(Text, unique=True)
    owner: Named[str] = Column(Text)
    state: Named[str] = Column(Text)
    study: Named[str | None] = Column(Text, ForeignKey(STUDIES.c.name, ondelete="CASCADE"), index=True)
    lease: Named[str | None] = Column(Text)
    created_at: Named[datetime] = Column(Moment)
    rest: Named[str] = Column(Text)


RANGE_TESTS = Table("range_tests", METADATA, RangeTestColumns, Index(None, "state"))


class LabelColumns(TypedColumns):
    """A study's labels once more, to filter by. Not indexed by key: keys are longer than Postgres' index takes."""

    study: Named[str] = Column(Text, ForeignKey(STUDIES.c.name, ondelete="CASCADE"), primary_key=True)
    position: Named[int] = Column(BigInteger, primary_key=True)
    key: Named[str] = Column(Text)
    value: Named[str] = Column(Text)


LABELS = Table("labels", METADATA, LabelColumns)


class TrialColumns(TypedColumns):
    """A trial. ``rest``: values, metrics, error, diverged_at, retry_of, confirmed, test,
    checkpoint, lost, killed, handed_at, promoted_at, let_on.

    ``params`` are read by themselves for every trial of a study, and ``schedule`` never changes: both are apart.
    """

    study: Named[str] = Column(Text, ForeignKey(STUDIES.c.name, ondelete="CASCADE"), primary_key=True)
    number: Named[int] = Column(BigInteger, primary_key=True, autoincrement=False)
    state: Named[str] = Column(Text)
    origin: Named[str] = Column(Text)
    purpose: Named[str | None] = Column(Text)
    lease: Named[str | None] = Column(Text)
    heard: Named[int] = Column(BigInteger)
    attempts: Named[int] = Column(BigInteger)
    worker: Named[str | None] = Column(Text)
    plan_key: Named[str | None] = Column(Text)
    root: Named[str | None] = Column(Text)
    value: Named[float | None] = Column(Double)
    confirmed_mean: Named[float | None] = Column(Double)
    epochs_trained: Named[int] = Column(BigInteger)
    epochs_shared: Named[int] = Column(BigInteger)
    epochs_repeated: Named[int] = Column(BigInteger)
    seconds: Named[float] = Column(Double)
    created_at: Named[datetime | None] = Column(Moment)
    started_at: Named[datetime | None] = Column(Moment)
    finished_at: Named[datetime | None] = Column(Moment)
    params: Named[str] = Column(Text)
    schedule: Named[str] = Column(Text)
    rest: Named[str] = Column(Text)


_OPEN = text("purpose IS NOT NULL")
_HELD = text("lease IS NOT NULL")
_ROOTED = text("root IS NOT NULL")
_CONFIRMED = text("confirmed_mean IS NOT NULL")

TRIALS = Table(
    "trials",
    METADATA,
    TrialColumns,
    # counts, sums and ranks of a study are answered from this index alone
    Index(
        "ix_trials_standing",
        *("study", "state", "value", "number", "confirmed_mean"),
        *("epochs_trained", "epochs_shared", "epochs_repeated"),
    ),
    Index("ix_trials_finished", "study", "finished_at", "number"),
    Index("ix_trials_open", "study", "number", sqlite_where=_OPEN, postgresql_where=_OPEN),
    Index("ix_trials_held", "lease", sqlite_where=_HELD, postgresql_where=_HELD),
    Index("ix_trials_roots", "study", "root", "worker", "lease", sqlite_where=_ROOTED, postgresql_where=_ROOTED),
    Index("ix_trials_held_keys", "study", "plan_key", sqlite_where=_HELD, postgresql_where=_HELD),
    Index(
        "ix_trials_confirmed",
        *("study", "state", "confirmed_mean", "value", "number"),
        sqlite_where=_CONFIRMED,
        postgresql_where=_CONFIRMED,
    ),
)


class PointColumns(TypedColumns):
    """One finished epoch of one seed; ``objective``: the study's metric; ``rest``: everything else of the point."""

    study: Named[str] = Column(Text, primary_key=True)
    number: Named[int] = Column(BigInteger, primary_key=True, autoincrement=False)
    purpose: Named[str] = Column(Text, primary_key=True)
    epoch: Named[int] = Column(BigInteger, primary_key=True, autoincrement=False)
    seed: Named[int] = Column(BigInteger, primary_key=True, autoincrement=False)
    attempt: Named[int] = Column(BigInteger)
    objective: Named[float | None] = Column(Double)
    rest: Named[str] = Column(Text)


POINTS = Table(
    "points",
    METADATA,
    PointColumns,
    ForeignKeyConstraint(["study", "number"], [TRIALS.c.study, TRIALS.c.number], ondelete="CASCADE"),
    sqlite_with_rowid=False,
)


class TrainedColumns(TypedColumns):
    """An epoch that some trial's worker trained, by its plan key."""

    study: Named[str] = Column(Text, ForeignKey(STUDIES.c.name, ondelete="CASCADE"), primary_key=True)
    key: Named[bytes] = Column(LargeBinary, primary_key=True)


TRAINED = Table("trained", METADATA, TrainedColumns, sqlite_with_rowid=False)


class EventColumns(TypedColumns):
    """Something that happened in a study; ``data``: what, as JSON."""

    id: Named[int] = Column(RowId, primary_key=True)
    study: Named[str] = Column(Text, ForeignKey(STUDIES.c.name, ondelete="CASCADE"))
    kind: Named[str] = Column(Text)
    at: Named[datetime] = Column(Moment)
    data: Named[str] = Column(Text)


# an id that was given out once is not given out again, even after the newest events were erased with their study
EVENTS = Table("events", METADATA, EventColumns, Index(None, "study", "id"), sqlite_autoincrement=True)


class LeaseColumns(TypedColumns):
    """A lease; ended ones are remembered for a while, so that "lost" can be told from "unknown"."""

    lease: Named[str] = Column(Text, primary_key=True)
    worker: Named[str] = Column(Text, index=True)
    owner: Named[str] = Column(Text)
    hold: Named[int] = Column(BigInteger)
    only_study: Named[str | None] = Column(Text)
    tasks: Named[str | None] = Column(Text)
    recipe: Named[str] = Column(Text)
    expires_at: Named[datetime] = Column(Moment, index=True)
    ended_at: Named[datetime | None] = Column(Moment, index=True)


LEASES = Table("leases", METADATA, LeaseColumns)


class WorkerColumns(TypedColumns):
    """A worker heard of; ``rest``: device, versions, tasks."""

    worker: Named[str] = Column(Text, primary_key=True)
    last_seen: Named[datetime] = Column(Moment)
    rest: Named[str] = Column(Text)


WORKERS = Table("workers", METADATA, WorkerColumns)


class OfferColumns(TypedColumns):
    """A task as a worker announced it, as JSON."""

    name: Named[str] = Column(Text, primary_key=True)
    rest: Named[str] = Column(Text)


OFFERS = Table("offers", METADATA, OfferColumns)


class AnswerColumns(TypedColumns):
    """What an ``Idempotency-Key`` was answered; ``digest`` stands for key and owner."""

    digest: Named[str] = Column(Text, primary_key=True)
    fingerprint: Named[str] = Column(Text)
    body: Named[str] = Column(Text)
    created_at: Named[datetime] = Column(Moment, index=True)


ANSWERS = Table("answers", METADATA, AnswerColumns)


class TokenColumns(TypedColumns):
    """A token; ``digest`` is SHA-256 of all of it, ``scopes`` JSON."""

    number: Named[int] = Column(RowId, primary_key=True)
    id: Named[str] = Column(Text, unique=True)
    name: Named[str] = Column(Text)
    digest: Named[bytes] = Column(LargeBinary)
    scopes: Named[str] = Column(Text)
    created_at: Named[datetime] = Column(Moment)
    expires_at: Named[datetime | None] = Column(Moment)
    last_used_at: Named[datetime | None] = Column(Moment)
    revoked_at: Named[datetime | None] = Column(Moment)


TOKENS = Table("tokens", METADATA, TokenColumns)


class AuditColumns(TypedColumns):
    """A change: who made it, what, and when; ``token`` is the id of a token, not a secret."""

    number: Named[int] = Column(RowId, primary_key=True)
    at: Named[datetime] = Column(Moment, index=True)
    name: Named[str] = Column(Text)
    token: Named[str | None] = Column(Text)
    verb: Named[str] = Column(Text)
    resource: Named[str] = Column(Text)
    request_id: Named[str | None] = Column(Text)
    address: Named[str | None] = Column(Text)


AUDIT = Table("audit", METADATA, AuditColumns)
