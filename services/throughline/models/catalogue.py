"""The weights that `throughline models add` knows: where they lie, under which licence, and their SHA-256 where it is known.

A file without one is trusted when it first comes, and its SHA-256 is recorded; see fetch.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from throughline.domain.errors import NotFound

_YOLOX = "https://github.com/Megvii-BaseDetection/YOLOX/releases/download/0.1.1rc0/"
_DRIVE = "https://drive.google.com/uc?export=download&id="
_LIBRE = "https://huggingface.co/LibreYOLO/LibreReID-osnet/resolve/main/"


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of weights. `sha256` is empty where only the first fetch can tell it; `note` says what to know before using it."""

    name: str
    kind: Literal["detector", "reid"]
    file: str
    url: str
    licence: str
    sha256: str = ""
    note: str = ""


def _yolox(size: str, pixels: int, sha256: str = "") -> Entry:
    file = f"yolox_{size}.onnx"
    return Entry(f"yolox-{size}", "detector", file, _YOLOX + file, "Apache-2.0", sha256, f"COCO, {pixels}x{pixels}")


def _osnet(width: str, trained_on: str, drive_id: str, sha256: str = "") -> Entry:
    name = f"osnet-{width}-{trained_on}"
    file = f"{name.replace('-', '_').replace('.', '_')}.pt"
    return Entry(name, "reid", file, _DRIVE + drive_id, "MIT", sha256, f"torchreid's model zoo, {trained_on}")


def _osnet_ain(width: str, sha256: str) -> Entry:
    file = f"osnet_ain_{width.replace('.', '_')}.pt"
    note = "torchreid's multi-source weights without their classifier, as republished by LibreYOLO"
    return Entry(f"osnet-ain-{width}", "reid", file, _LIBRE + file, "MIT", sha256, note)


ENTRIES = (
    _yolox("nano", 416, "c789161ed43c8269fcd4e67c67eeeb4e80c622da2eb296a20bc6007bd18a0b7d"),
    _yolox("tiny", 416, "427cc366d34e27ff7a03e2899b5e3671425c262ea2291f88bb942bc1cc70b0f7"),
    _yolox("s", 640, "c5c2d13e59ae883e6af3b45daea64af4833a4951c92d116ec270d9ddbe998063"),
    _yolox("m", 640),
    _yolox("l", 640),
    _yolox("x", 640),
    _osnet(
        "x0.25",
        "msmt17",
        "1sSwXSUlj4_tHZequ_iZ8w_Jh0VaRQMqF",
        "6f57607fed9f502b9efed546108132ee715df5a5b6e6932c6269bacb47f59f99",
    ),
    _osnet(
        "x0.25",
        "market1501",
        "1z1UghYvOTtjx7kEoRfmqSMu-z62J6MAj",
        "c0ff09177a21417a19bc73bbf5af4eb5d2b097c2074ed35e67819ee6cd93612c",
    ),
    _osnet("x0.5", "msmt17", "1UT3AxIaDvS2PdxzZmbkLmjtiqq7AIKCv"),
    _osnet("x0.75", "msmt17", "1QEGO6WnJ-BmUzVPd3q9NoaO_GsPNlmWc"),
    _osnet(
        "x1.0",
        "msmt17",
        "112EMUfBPYeYg70w-syK6V6Mx8-Qb9Q1M",
        "b7d73dc67c016fd044e4027ff856019496392a7aca8fa0ed56d862a1632c1cf2",
    ),
    _osnet("ibn-x1.0", "msmt17", "1q3Sj2ii34NlfxA4LvmHdWO_75NDRmECJ"),
    _osnet(
        "ain-x1.0",
        "msmt17",
        "1SigwBE6mPdqiJMqhuIY4aqC7--5CsMal",
        "8a07e8da38946f7cee37f4561617bf8b6d2fe8f3a4027852893ea092e46d919f",
    ),
    _osnet_ain("x0.25", "ce171fe160b3608f5e4c19489774991419be965b1d6f4bdccc4b4cfd2ef95347"),
    _osnet_ain("x0.5", "510bcebae21bd0c0fcc7df388e97d2f687a9ee4befa4394d6fb1fb19aac0bce2"),
    _osnet_ain("x0.75", "57b31d7f806edac586540e08e98c589f0010ad7876dacf4af013deaa284dd26d"),
    _osnet_ain("x1.0", "34c24e98b6b70c8b62480f846fd0d581aa2fd1535bc0276aecf1f10430b731d1"),
)


def entry(name: str) -> Entry:
    """The entry of that name. Raises NotFound with the names there are."""
    for each in ENTRIES:
        if each.name == name:
            return each
    raise NotFound(f"no weights are known as {name!r}; there are {', '.join(each.name for each in ENTRIES)}")
