"""The nouns of the product: time, geometry, footage, tracks, queries, pairs, timelines and errors. Standard library and numpy only."""
