"""The parts of the benchmark: one module each, with a title and ``run``, which fills in a ``Run``."""
