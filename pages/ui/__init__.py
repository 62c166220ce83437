"""Pieces that every page shares: state, words and numbers, charts, widgets."""
