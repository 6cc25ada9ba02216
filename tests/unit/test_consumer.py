"""What a consumer makes sure of before it begins."""

import fcntl
from pathlib import Path

import pytest

from stompy import STOMPError
from stompy_jupyter.consumer import check_shared


@pytest.fixture
def lease(tmp_path: Path) -> Path:
    """A file in a dataset that nobody has locked."""
    path = tmp_path / ".open" / "a.lock"
    path.parent.mkdir()
    path.touch()
    return path


def test_a_folder_with_a_file_that_the_client_has_locked_is_shared(lease):
    with lease.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        check_shared(lease)


def test_a_lock_that_is_not_seen_is_an_error(lease, tmp_path):
    with pytest.raises(STOMPError, match=f"locks in {tmp_path} are not seen"):
        check_shared(lease)


def test_another_folder_of_the_same_name_is_an_error(lease, tmp_path):
    lease.unlink()
    with pytest.raises(STOMPError, match=f"{tmp_path} is not the folder"):
        check_shared(lease)


def test_a_folder_that_cannot_be_used_is_an_error(lease, tmp_path):
    lease.unlink()
    lease.mkdir()
    with pytest.raises(STOMPError, match=f"nothing can be kept in {tmp_path}: Is a directory"):
        check_shared(lease)
