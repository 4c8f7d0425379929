"""Keys, masks, shares, boxes, signatures and digests: the primitives that protocols are written in."""
