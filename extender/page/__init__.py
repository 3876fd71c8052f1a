"""The web page of the admin port: view models made of the engine's state in turns, and templates.

Views are plain values that know nothing of HTML; templates hold no logic beyond loops and choices.
"""
