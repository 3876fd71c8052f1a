"""What must hold before there is a release, on a copy of what says the version."""

import json
import pathlib
import shutil

import pytest

from deploy import release

ROOT = pathlib.Path(__file__).resolve().parents[2]
VERSION = release.check_versions(ROOT, tag=None)
PLACES = sorted({name for name, _ in release.written_versions(ROOT)})


@pytest.fixture
def copy(tmp_path):
    for name in (*PLACES, "CHANGELOG.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    changelog = tmp_path / "CHANGELOG.md"
    dated = f"## [Unreleased]\n\n## [{VERSION}] - 2026-12-01\n"
    changelog.write_text(changelog.read_text().replace("## [Unreleased]\n", dated, 1))
    return tmp_path


def test_a_tagged_commit_with_a_dated_changelog_is_a_release(copy):
    assert release.check_versions(copy, tag=f"v{VERSION}") == VERSION


@pytest.mark.parametrize(
    ("tag", "reported"),
    [("v9.9.9", "the commit's tag is v9.9.9"), ("", "the commit's tag is missing")],
)
def test_the_tag_is_the_version(copy, tag, reported):
    with pytest.raises(release.ReleaseError, match=reported):
        release.check_versions(copy, tag=tag)


@pytest.mark.parametrize("place", [name for name in PLACES if name != "pyproject.toml"])
def test_each_place_that_says_another_version_is_named(copy, place):
    file = copy / place
    file.write_text(file.read_text().replace(VERSION, "9.9.9"))
    with pytest.raises(release.ReleaseError, match=f"{place} says 9.9.9"):
        release.check_versions(copy, tag=f"v{VERSION}")


def test_a_version_without_its_own_heading_in_the_changelog_is_none(copy):
    shutil.copy(ROOT / "CHANGELOG.md", copy / "CHANGELOG.md")
    with pytest.raises(release.ReleaseError, match=r"CHANGELOG\.md has no heading"):
        release.check_versions(copy, tag=f"v{VERSION}")


def test_a_bill_that_leaves_out_a_package_is_refused(tmp_path):
    bill = tmp_path / "bill.json"
    bill.write_text(json.dumps({"components": [{"name": "aiohttp", "version": "0"}]}))
    with pytest.raises(release.ReleaseError, match="the SBOM and the lock differ"):
        release.check_sbom(bill)


def test_a_command_that_fails_says_what_it_printed():
    with pytest.raises(release.ReleaseError, match="why not"):
        release.run("sh", "-c", "echo why not; exit 3")
