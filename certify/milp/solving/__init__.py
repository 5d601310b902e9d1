"""HiGHS on one program, and bounds that hold whatever it says."""
