"""Settings, database access, codecs, errors: what every room uses and which uses no room."""
