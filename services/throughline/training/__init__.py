"""Training of the demo models on simulated stores. Needs the `torch` extra, except for `samples`."""
