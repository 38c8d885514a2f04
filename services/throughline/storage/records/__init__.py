"""The relational records: jobs, their pairs, answers and films. Where they lie and what their columns are."""

from throughline.storage.records.database import Records, normal_url

__all__ = ["Records", "normal_url"]
