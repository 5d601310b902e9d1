"""The kinds of networks whose proofs are tested: fixtures of tests/checking, and their radii where not .02."""

KINDS = ("shallow", "deep", "soft", "images", "ball", "residual", "spikes", "counts", "potential", "timed")
RADII = {"images": 0.01, "ball": 0.15, "timed": 0.1}
