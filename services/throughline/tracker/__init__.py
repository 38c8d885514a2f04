"""The tracker service: everyone in a reel, the query among them, and who may be the same person."""
