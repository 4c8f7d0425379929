"""Studies: questions that take whole runs, or measurements of this machine, to answer.

A study stands above the engines. It starts runs as everybody does, reads what they leave, and knows nothing of how an
engine works; no two studies know of each other, and nothing below imports one.

`verify` asks whether a run can be had again. It plays the scenario of a run directory in `sim`. A run of `sim` must
come to the same to the byte, record by record, and the first difference is named with both texts. Of a run on another
engine everything is compared that does not depend on time: survivors, weights, means and model, bit for bit. A run
that another format of asyncagg made is not compared; the version that made it is named.

`swarm` plays scenarios drawn from seeds and checks what must hold in each, whatever it is. `calibrate` measures what
each kind of work takes on one core of this machine, and says it as a `[compute]` table that a scenario can hold.
"""
