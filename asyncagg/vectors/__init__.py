"""Form of an input on its way into the sum: ring, encoder, bit packing, named arrays, slices.

A gradient is a set of named arrays. `flatten` lays them out as one flat vector, in the order of the published
parameters, and back. The `encoder` turns each real value into an element of a ring: it clips, scales, rounds with
draws that the caller gives, and multiplies with the owner's weight; decoding a sum is the inverse, divided by the
total weight. What a mean may be off by at most is a number that it states.

The `ring` is the integers modulo 2^b, the smallest that the sum of all owners cannot wrap, held in whole unsigned
words of which the upper bits are ignored until they are cut. Masks are uniform in it, and adding is what the compute
nodes do. `slices` cuts the vector into one piece for each compute node and adds what travels along: a count in each
slice, which must come out as the number of survivors, and the weight. `packing` puts b bits of each element on the
wire, and adds packed elements to a sum without unpacking them first.

Every function here is pure, and every fast kernel is tested against an obvious slow one.
"""
