"""Loads accepted deliveries into the four CRMs and takes call outcomes back to them."""
