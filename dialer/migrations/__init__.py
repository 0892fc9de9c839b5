"""The revisions of the dialer's schema, in order."""
