"""Throughline finds one person across all cameras of a store."""
