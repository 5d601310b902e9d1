"""Sets of networks and their members as plain data: what files and other processes are told of them."""
