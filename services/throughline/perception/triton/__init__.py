"""Triton: its environment, its server as a child process, and the client that everything else infers through."""
