"""The revisions of the mailing's schema, in order."""
