from hypothesis import settings

# A slow machine is no failure, and a run finds the same as the one before; search with --hypothesis-profile=default.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")
