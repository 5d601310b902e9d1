"""Who bounds the nodes of a search: this process, or several of this machine."""
