"""No example of a property has a deadline: how long one takes depends on what else the machine does."""

from hypothesis import settings

settings.register_profile("patient", parent=settings.default, deadline=None)
settings.load_profile("patient")
