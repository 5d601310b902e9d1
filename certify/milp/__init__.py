"""Spiking networks as mixed-integer linear programs, and HiGHS to bound them."""
