"""The call for people who do not want to choose: it measures while it works, and chooses.

``door.py`` has the functions, ``run.py`` one call from its first item to its last, ``model.py`` the
prediction that it goes by, which is pure. ``README.md`` draws the way of one call.
"""
