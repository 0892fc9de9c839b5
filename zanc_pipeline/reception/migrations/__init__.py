"""The revisions of the reception's schema, in order."""
