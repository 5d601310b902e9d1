"""Linear relaxation by auto_LiRPA: the unrolled network, its spike operation, and the bounds of one batch.

auto_LiRPA is optional and is imported by `compat.load` alone, when a bound is first asked for.
"""
