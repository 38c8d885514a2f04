"""Where things are kept: objects, artifacts, documents, tables and records. Nothing here knows what a stage does."""
