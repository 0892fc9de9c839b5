"""The identities of archived calls, in a tenth of the space."""

from zanc_pipeline.common.migrations import first_revision

revision, down_revision = "0002", "0001"
upgrade = first_revision(__file__)
