"""Two builds of one network: where their trains part, and which setting makes one behave as the other."""
