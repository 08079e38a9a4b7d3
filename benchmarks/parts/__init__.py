"""The parts of the benchmark: one module each, with a title and ``fill``, which fills in a ``Run``."""
