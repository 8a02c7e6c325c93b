"""The id of an emission is a UUIDv5 of its sender and its number, whoever computes it."""

from uuid import uuid5

from hypothesis import given
from hypothesis import strategies as st

from optimizer.model.finding import Finding
from optimizer.stage import NAMESPACE, Emit, published

FOUND = Finding(
    finding_id="f", segment="other", kind="level", metric="calls", role="signal", verdict="pass",
    window_start_at=0, window_end_at=60_000, reason="",
)  # fmt: skip


@given(source=st.text(max_size=40), sequence=st.integers(0, 2**53))
def test_an_emission_has_the_uuid_of_its_sender_and_its_number(source, sequence):
    event = published(Emit(data=FOUND, at=60_000, subject="chat"), source, sequence)
    assert event.id == str(uuid5(NAMESPACE, f"{source}#{sequence}"))
