"""How services speak: settings, servers and clients, tokens, TLS, errors and statuses, protobuf and domain. No work of any stage."""
