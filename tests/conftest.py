"""What holds for every test."""

from hypothesis import settings

# how long an example takes says nothing about its result, and depends on what else the machine does
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
