"""A store that renders itself, with ground truth: footage, labels and queries from a seed."""
