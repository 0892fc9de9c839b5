"""The revisions of the crm's schema, in order."""
