"""The mailing's tables as first released."""

from zanc_pipeline.common.migrations import first_revision

revision, down_revision = "0001", None
upgrade = first_revision(__file__)
