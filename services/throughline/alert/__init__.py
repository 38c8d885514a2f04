"""Reference implementation of the outside service that is told of finished films: it logs and keeps what it hears."""
