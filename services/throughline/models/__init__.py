"""Model repositories: made from ONNX weights, checked, described by cards, calibrated."""
