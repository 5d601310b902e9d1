"""The settings of two builds side by side: what differs, and the build that has some of it exchanged."""
