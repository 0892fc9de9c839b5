"""The revisions of the localization's schema, in order."""
