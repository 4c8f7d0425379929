"""Share tags: what they are, spelled out, and that each thing they are bound to counts."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from asyncagg.crypto.kdf import encode_fields
from asyncagg.crypto.shamir import SHARE_BYTES
from asyncagg.protocols.names import owner_name
from asyncagg.protocols.secagg.share_tags import MASK_KEY, SELF_MASK, TAG_BYTES, Which, both_tags, share_tag

SESSION = bytes(range(32))
SHARE = bytes(SHARE_BYTES)


@given(
    st.binary(min_size=32, max_size=32),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    st.sampled_from([MASK_KEY, SELF_MASK]),
    st.binary(min_size=SHARE_BYTES, max_size=SHARE_BYTES),
)
def test_a_tag_is_the_hash_of_its_encoded_fields(
    session: bytes, dealer: int, holder: int, which: Which, share: bytes
) -> None:
    whole = hashlib.sha256(encode_fields("asyncagg share tag", session, dealer, holder, which, share)).digest()
    tag = share_tag(session, owner_name(dealer), owner_name(holder), which, share)
    assert tag == whole[:8]
    assert len(tag) == TAG_BYTES


def test_a_tag_is_bound_to_everything() -> None:
    one, other = owner_name(1), owner_name(2)
    tags = [
        share_tag(SESSION, one, other, MASK_KEY, SHARE),
        share_tag(bytes(32), one, other, MASK_KEY, SHARE),
        share_tag(SESSION, other, one, MASK_KEY, SHARE),
        share_tag(SESSION, one, one, MASK_KEY, SHARE),
        share_tag(SESSION, one, other, SELF_MASK, SHARE),
        share_tag(SESSION, one, other, MASK_KEY, bytes(SHARE_BYTES - 1) + b"\1"),
    ]
    assert len({*tags}) == len(tags)


def test_a_box_goes_with_the_tags_of_both_its_shares() -> None:
    first, second = SHARE, b"\1" * SHARE_BYTES
    one, other = owner_name(1), owner_name(2)
    both = both_tags(SESSION, one, other, first + second)
    assert both == share_tag(SESSION, one, other, MASK_KEY, first) + share_tag(SESSION, one, other, SELF_MASK, second)
