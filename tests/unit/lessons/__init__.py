"""Tests of the exercises of the lessons: what passes, what does not, and what a learner is told."""
