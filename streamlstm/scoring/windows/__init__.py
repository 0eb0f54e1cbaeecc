"""Scores of recordings by models that see whole windows."""
