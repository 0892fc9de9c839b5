"""Deliveries are found by their day, and those that wait for a person at once."""

from zanc_pipeline.common.migrations import first_revision

revision, down_revision = "0002", "0001"
upgrade = first_revision(__file__)
