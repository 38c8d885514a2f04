"""The command line: one module per group of commands, and what keeps a whole deployment alive on one machine."""
