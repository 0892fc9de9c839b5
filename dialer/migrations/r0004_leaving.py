"""Who wants to leave after the present call does, though the dialer is restarted meanwhile."""

from zanc_pipeline.common.migrations import first_revision

revision, down_revision = "0004", "0003"
upgrade = first_revision(__file__)
