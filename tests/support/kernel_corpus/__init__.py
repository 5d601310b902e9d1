"""A corpus of certificates that the kernel only just accepts: made, made tight, and tampered with."""
