"""What of a job people may want to open as a file: written below its folder in the workspace."""

from __future__ import annotations

from dataclasses import dataclass

from throughline.storage.objects import ObjectStore


@dataclass(frozen=True)
class JobDocuments:
    """Writes `<workspace>/jobs/<job>/...`. The same document again replaces itself."""

    objects: ObjectStore
    workspace_uri: str

    def write(self, job_id: str, name: str, text: str) -> None:
        self.objects.write(f"{self.workspace_uri.rstrip('/')}/jobs/{job_id}/{name}", text.encode())
