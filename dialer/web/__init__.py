"""The pages of the floor: the operators' desk and the supervisors' wall, served by the dialer."""
