"""Generated from protos/throughline/v1; do not edit."""
