"""What somebody writes in an afternoon: OpenCV decodes, ONNX Runtime finds people in some of the frames and describes their crops.

`python plain_loop.py SITE_PACKAGES VIDEO MODELS FRAMES THREADS CROPS OUT`, where onnxruntime lies in SITE_PACKAGES. FRAMES is an .npy
file of the numbers, from 0, of the frames to look at. CROPS is `all`, or an .npy file of (n, 5) float32: the frame and the box of each
crop that is to be embedded. OUT gets boxes, scores and embeddings as .npz; the last line of the output is JSON: wall-clock and CPU
seconds of the loop, models loaded and warm before.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import cv2
import numpy as np

LEAST_SCORE = 0.3
GREY = 114


def main(*arguments: str) -> None:
    site_packages, video, models, frames, threads, crops, out = arguments
    sys.path.append(site_packages)
    import onnxruntime  # noqa: PLC0415 - only there

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(threads)
    detector, reid = (
        onnxruntime.InferenceSession(
            str(Path(models, name, "1", "model.onnx")), options, providers=["CPUExecutionProvider"]
        )
        for name in ("detector", "reid")
    )
    _, high, wide, _ = detector.get_inputs()[0].shape
    _, tall, narrow, _ = reid.get_inputs()[0].shape
    looked_at = set(np.load(frames).tolist())
    chosen = None if crops == "all" else np.load(crops)
    for session, shape in ((detector, (1, high, wide, 3)), (reid, (4, tall, narrow, 3))):
        session.run(None, {session.get_inputs()[0].name: np.zeros(shape, np.uint8)})
    rows, vectors, number = [], [], 0
    wall, cpu = time.perf_counter(), time.process_time()
    capture = cv2.VideoCapture(video)
    while capture.grab():
        if number in looked_at:
            _, picture = capture.retrieve()
            picture = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
            scale = min(wide / picture.shape[1], high / picture.shape[0])
            small = cv2.resize(picture, None, fx=scale, fy=scale)
            left, top = (wide - small.shape[1]) // 2, (high - small.shape[0]) // 2
            canvas = np.full((high, wide, 3), GREY, np.uint8)
            canvas[top : top + small.shape[0], left : left + small.shape[1]] = small
            found = detector.run(["boxes", "scores", "classes"], {"images": canvas[None]})
            boxes, scores, classes = (each[0] for each in found)
            people = (classes == 0) & (scores >= LEAST_SCORE)
            boxes, scores = (boxes[people] - [left, top, left, top]) / scale, scores[people]
            own = boxes if chosen is None else chosen[chosen[:, 0] == number, 1:]
            limits = [*picture.shape[1::-1]] * 2
            cut = [picture[box[1] : box[3], box[0] : box[2]] for box in np.clip(own, 0, limits).astype(int)]
            cut = [cv2.resize(crop, (narrow, tall), interpolation=cv2.INTER_AREA) for crop in cut if crop.size]
            described = reid.run(None, {"crops": np.stack(cut)})[0] if cut else np.zeros((0, 1), np.float32)
            rows += [(number, *box, score) for box, score in zip(boxes.tolist(), scores.tolist(), strict=True)]
            vectors += list(described) if len(described) == len(boxes) else []
        number += 1
    spent = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    np.savez(out, rows=np.array(rows, np.float64), vectors=np.array(vectors, np.float32))
    print(json.dumps(spent))


if __name__ == "__main__":
    main(*sys.argv[1:])
