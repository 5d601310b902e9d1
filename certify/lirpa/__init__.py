"""Linear relaxation by auto_LiRPA: its propagation of bounds, on a graph that is built of a circuit node by node.

auto_LiRPA is optional and is imported by `library.load` alone, when a bound is first asked for: `graph` and
`nodes`, whose classes are made of its own, are imported no earlier.
"""
