"""Inference and what is made of it: detections, tracks, crops, embeddings."""
