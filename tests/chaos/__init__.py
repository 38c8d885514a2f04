"""The kill matrix: every process dies, or stands still, in every stage. Not collected by pytest: `make chaos`."""
