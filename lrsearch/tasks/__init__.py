"""Tasks: what is trained. ``catalog`` describes the built-ins without torch."""
