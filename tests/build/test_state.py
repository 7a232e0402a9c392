"""The state's directory while somebody uses it."""

from __future__ import annotations

import pytest

from genoci.build.operations import clean
from genoci.build.state import using
from genoci.errors import BuildError, UsageError
from workshop import Workshop


def test_a_state_in_use_is_not_deleted(workshop: Workshop) -> None:
    with using(workshop.state), pytest.raises(BuildError, match="in use"):
        clean(workshop.state, lambda event: None)
    assert workshop.state.is_dir()
    clean(workshop.state, lambda event: None)
    assert not workshop.state.exists()


def test_a_state_in_the_layout_is_refused_before_anything_is_made(workshop: Workshop) -> None:
    workshop.tarball("a.tar", ("hello", "world"))
    workshop.state = workshop.layout_path / "state"
    with pytest.raises(UsageError, match="layout"):
        workshop.build("a: {base: empty, expand: a.tar}")
    assert not workshop.layout_path.exists()
