"""The exercises of the lessons in ``notebooks/``, a module for each lesson."""
