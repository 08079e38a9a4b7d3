"""Measurements against other implementations: the same work, checked first, interleaved, in one run."""
