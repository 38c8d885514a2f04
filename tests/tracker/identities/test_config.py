"""reid.yaml: defaults, and mistakes that are named with what was probably meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from throughline.domain.errors import InvalidInput
from throughline.tracker.identities.config import ReidConfig, read_config


def read(tmp_path: Path, text: str) -> ReidConfig:
    path = tmp_path / "reid.yaml"
    path.write_text(text)
    return read_config(path)


def test_an_empty_file_has_the_defaults(tmp_path: Path) -> None:
    config = read(tmp_path, "")
    assert config == ReidConfig()
    assert (config.associate.min_sim, config.embed.frame_stride, config.embed.per_track_max_samples) == (0.45, 5, 12)
    assert config.embed.min_box_size == 16


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("backbone: clip_vit_b16", (224, 224)),
        ("backbone: {name: ResNet50}", (224, 224)),
        ("backbone: {name: resnet50, image_size: [256, 128]}", (256, 128)),
        ("backbone: {name: osnet, image_size: 96}", (96, 96)),
        ("backbone: osnet", None),
    ],
)
def test_clip_and_resnet50_take_224_pixels_unless_told_otherwise(
    tmp_path: Path, text: str, size: tuple[int, int] | None
) -> None:
    assert read(tmp_path, text).backbone.expected_size == size


def test_a_topology_is_looked_for_beside_the_file(tmp_path: Path) -> None:
    assert read(tmp_path, "associate: {topology: site.yaml}").associate.topology == tmp_path / "site.yaml"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("associate: {min_sims: 0.4}", "associate.min_sims is unknown; did you mean min_sim?"),
        ("asociate: {}", "asociate is unknown; did you mean associate?"),
        ("embed: {zzz: 1}", "embed.zzz is unknown; known are frame_stride, per_track_max_samples"),
        ("embed: {frame_stride: 0}", "embed.frame_stride: Input should be greater than or equal to 1, not 0"),
        ("associate: {min_sim: high}", "associate.min_sim"),
        ("backbone: {dtype: float64}", "backbone.dtype"),
        ("- a list", "the whole"),
        ("embed: {", "is no YAML"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        read(tmp_path, text)
    assert said in str(raised.value)
    assert "reid.yaml" in str(raised.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_config(tmp_path / "none.yaml")
