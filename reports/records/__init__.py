"""The record of a run as data: versioned, frozen, refused where it contradicts itself."""
