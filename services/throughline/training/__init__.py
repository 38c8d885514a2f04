"""Training of the demo models on simulated stores. All but `samples` and `publish` need the `torch` extra.

The carried models were made so, each step in under half an hour on two cores (`uv sync --extra torch` first):

    python -m throughline.training.samples --out build/samples --seeds 60
    python -m throughline.training.detector --samples build/samples --out build/trained --steps 2200
    python -m throughline.training.samples --out build/more --seeds 80 --cameras 5 --frames 26
    python -m throughline.training.samples --out build/held-out --first-seed 1080 --seeds 10 --cameras 4 --frames 16
    python -m throughline.training.reid --samples build/samples --held-out build/held-out --out build/first --steps 1500
    python -m throughline.training.reid --samples build/more --held-out build/held-out --out build/trained --steps 1000 \\
        --start build/first/reid.pt
    python -m throughline.training.publish --trained build/trained --repository model_repository

Seeds below 1000 are never trained on: they are for evaluation and for the demonstration.
"""
