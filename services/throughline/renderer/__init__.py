"""The renderer: clips of pairs, and the film of a person's way. It draws reels and tracks and decides nothing about who is who."""
