"""A worked round: a protocol's own code with so few owners and values that every number can be followed.

`play` drives all roles by hand, one message after the other, and notes what was said and which masks were added by
whom; `account` reads from that, by the keys of the masks alone, who shares a mask with whom, who took one off again,
and what a coalition has; `sections` puts it into sentences and sums. Nothing is said of a protocol that its code did
not do.
"""
