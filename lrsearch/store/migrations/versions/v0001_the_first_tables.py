"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """To version 0001."""
    moment = sa.DateTime(timezone=True)
    row_id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    held, open_ = sa.text("lease IS NOT NULL"), sa.text("purpose IS NOT NULL")
    confirmed = sa.text("confirmed_mean IS NOT NULL")
    rooted = sa.text("root IS NOT NULL")
    op.create_table(
        "answers",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_answers"),
    )
    op.create_index("ix_answers_created_at", "answers", ["created_at"])

    op.create_table(
        "comparisons",
        sa.Column("id", row_id, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("rest", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_comparisons"),
        sa.UniqueConstraint("name", name="uq_comparisons_name"),
    )
    op.create_table(
        "leases",
        sa.Column("lease", sa.Text(), nullable=False),
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("hold", sa.BigInteger(), nullable=False),
        sa.Column("only_study", sa.Text(), nullable=True),
        sa.Column("tasks", sa.Text(), nullable=True),
        sa.Column("recipe", sa.Text(), nullable=False),
        sa.Column("expires_at", moment, nullable=False),
        sa.Column("ended_at", moment, nullable=True),
        sa.PrimaryKeyConstraint("lease", name="pk_leases"),
    )
    op.create_index("ix_leases_ended_at", "leases", ["ended_at"])
    op.create_index("ix_leases_expires_at", "leases", ["expires_at"])
    op.create_index("ix_leases_worker", "leases", ["worker"])

    op.create_table(
        "offers",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("rest", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_offers"),
    )
    op.create_table(
        "workers",
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("last_seen", moment, nullable=False),
        sa.Column("rest", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("worker", name="pk_workers"),
    )
    op.create_table(
        "studies",
        sa.Column("id", row_id, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("comparison", sa.Text(), nullable=True),
        sa.Column("resolved", sa.Boolean(), nullable=False),
        sa.Column("updates_per_epoch", sa.BigInteger(), nullable=True),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("started_at", moment, nullable=True),
        sa.Column("finished_at", moment, nullable=True),
        sa.Column("rest", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_studies"),
        sa.UniqueConstraint("name", name="uq_studies_name"),
        sa.ForeignKeyConstraint(
            ["comparison"], ["comparisons.name"], name="fk_studies_comparison", ondelete="SET NULL"
        ),
    )
    op.create_index("ix_studies_comparison", "studies", ["comparison"])
    op.create_index("ix_studies_state", "studies", ["state"])

    op.create_table(
        "range_tests",
        sa.Column("id", row_id, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("study", sa.Text(), nullable=True),
        sa.Column("lease", sa.Text(), nullable=True),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("rest", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_range_tests"),
        sa.UniqueConstraint("name", name="uq_range_tests_name"),
        sa.ForeignKeyConstraint(["study"], ["studies.name"], name="fk_range_tests_study", ondelete="CASCADE"),
    )
    op.create_index("ix_range_tests_state", "range_tests", ["state"])
    op.create_index("ix_range_tests_study", "range_tests", ["study"])

    op.create_table(
        "labels",
        sa.Column("study", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["study"], ["studies.name"], name="fk_labels_study", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("study", "position", name="pk_labels"),
    )
    op.create_table(
        "trials",
        sa.Column("study", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=True),
        sa.Column("lease", sa.Text(), nullable=True),
        sa.Column("heard", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("worker", sa.Text(), nullable=True),
        sa.Column("plan_key", sa.Text(), nullable=True),
        sa.Column("root", sa.Text(), nullable=True),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("confirmed_mean", sa.Double(), nullable=True),
        sa.Column("epochs_trained", sa.BigInteger(), nullable=False),
        sa.Column("epochs_shared", sa.BigInteger(), nullable=False),
        sa.Column("epochs_repeated", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("created_at", moment, nullable=True),
        sa.Column("started_at", moment, nullable=True),
        sa.Column("finished_at", moment, nullable=True),
        sa.Column("params", sa.Text(), nullable=False),
        sa.Column("schedule", sa.Text(), nullable=False),
        sa.Column("rest", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["study"], ["studies.name"], name="fk_trials_study", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("study", "number", name="pk_trials"),
    )
    op.create_index("ix_trials_finished", "trials", ["study", "finished_at", "number"])
    op.create_index("ix_trials_held", "trials", ["lease"], sqlite_where=held, postgresql_where=held)
    op.create_index(
        "ix_trials_roots",
        "trials",
        ["study", "root", "worker", "lease"],
        sqlite_where=rooted,
        postgresql_where=rooted,
    )
    op.create_index("ix_trials_held_keys", "trials", ["study", "plan_key"], sqlite_where=held, postgresql_where=held)
    op.create_index("ix_trials_open", "trials", ["study", "number"], sqlite_where=open_, postgresql_where=open_)
    op.create_index(
        "ix_trials_confirmed",
        "trials",
        ["study", "state", "confirmed_mean", "value", "number"],
        sqlite_where=confirmed,
        postgresql_where=confirmed,
    )
    op.create_index(
        "ix_trials_standing",
        "trials",
        ["study", "state", "value", "number", "confirmed_mean", "epochs_trained", "epochs_shared", "epochs_repeated"],
    )

    op.create_table(
        "points",
        sa.Column("study", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("seed", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("attempt", sa.BigInteger(), nullable=False),
        sa.Column("objective", sa.Double(), nullable=True),
        sa.Column("rest", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["study", "number"], ["trials.study", "trials.number"], name="fk_points_study_number", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("study", "number", "purpose", "epoch", "seed", name="pk_points"),
        sqlite_with_rowid=False,
    )

    op.create_table(
        "trained",
        sa.Column("study", sa.Text(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["study"], ["studies.name"], name="fk_trained_study", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("study", "key", name="pk_trained"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Erase everything."""
    for table in (
        "trained",
        "points",
        "trials",
        "labels",
        "range_tests",
        "studies",
        "comparisons",
        "leases",
        "workers",
        "offers",
        "answers",
    ):
        op.drop_table(table)
