"""The revisions of the scoring's schema, in order."""
