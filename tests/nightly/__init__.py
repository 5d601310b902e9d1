"""The night's work: parts that run one after another, each bounded, and the page that says what came of them."""
