"""What the rules, the PBXs and the pages of the floor brought."""

from zanc_pipeline.common.migrations import first_revision

revision, down_revision = "0002", "0001"
upgrade = first_revision(__file__)
