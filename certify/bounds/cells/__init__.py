"""The trains of a subtracting reset, by what came in minus what went out (F9)."""
