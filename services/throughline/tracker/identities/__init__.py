"""Identities over many videos: whose tracks are whose, and what is written about it."""
