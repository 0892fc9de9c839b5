"""Indexes for what is asked of a table of millions of attempts again and again."""

from zanc_pipeline.common.migrations import first_revision

revision, down_revision = "0003", "0002"
upgrade = first_revision(__file__)
