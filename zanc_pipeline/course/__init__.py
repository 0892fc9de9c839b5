"""The course in ``docs/curso``: five exercises for people who never programmed, marked at once."""
