"""The ingest service: lists footage, tells when each chunk was taken, and collates a camera's chunks into its reel."""
