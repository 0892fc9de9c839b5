"""Drift: what every accepted delivery looked like, and what to do when the next one is different.

``fingerprint.Witness`` looks on while a file is read; ``diagnose`` judges a file beside the last
fingerprint, by layouts that ``candidates`` makes; ``hook`` does it where a delivery gets its
verdict; ``store`` and ``proposals`` keep fingerprints and proposed layouts in PostgreSQL. All but
the last three is pure.
"""
