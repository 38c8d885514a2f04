"""Another process that makes an artifact: python -m tests.storage.maker URI CACHE ROOT ENDPOINT FOLDER CONTENT COUNT [wait].

Writes COUNT files of CONTENT. With `wait` it prints "filled" before it publishes and goes on when a line comes in.
"""

from __future__ import annotations

import sys
from pathlib import Path

from throughline.storage.objects import ObjectSettings, open_objects
from throughline.storage.workspace import Workspace


def main(arguments: list[str]) -> None:
    uri, cache, root, endpoint, folder, content, count, *wait = arguments
    objects = open_objects(ObjectSettings(allowed_roots=(Path(root),), s3_endpoint_url=endpoint))
    with Workspace(uri, objects, Path(cache)).create(folder) as stage:
        for number in range(int(count)):
            (stage / f"{number:03d}").write_text(content * 1000)
        if wait:
            print("filled", flush=True)
            sys.stdin.readline()
    print("published", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
