"""Evaluations: how right the answers are, by ground truth. Not collected by pytest."""
