"""The swarm: scenarios drawn from seeds, played, judged by invariants, and shrunk where they break one.

`draw` makes a scenario of a seed: any protocol and size, links, deadlines and faults, small enough that a run takes a
moment. `play` plays it in `sim` and checks what must hold whatever it is. A mean is the mean of its survivors, bit
for bit; whatever fails says why; where nothing goes wrong nothing fails; no attempt outlasts its deadlines; nobody
has shares of both secrets of an owner; no secret can be read in trace or result; a second run leaves the same bytes;
no exception gets away. Each broken invariant is a line that begins with its name.

What a record cannot show, `watch` sees from outside, by standing around functions of the product: secrets as they are
drawn, shares as they are given out, errors that reached only the loop. Nothing in a protocol knows of it.

Where a scenario breaks something, `shrink` looks for a smaller one that still does, and writes it to a file that says
how to run it. `crew` deals seeds out to processes, which end with the one that started them however that ends.
"""
