"""Alô or machine: who answered, told by the sound of the first two seconds."""
