"""Inference and what is made of it: detections, tracks, crops, embeddings."""

from __future__ import annotations

import cv2

cv2.setNumThreads(1)  # cameras share the cores already; two threads at a picture take a quarter more CPU than one
