"""Files of a run directory and of a folder of keys, as typed values and as bytes.

`directory` is the run directory. It is made before a run begins with a result that says `interrupted`, and filled at
the end; one process at a time may have it. `result` is `result.json`, `trace` is `trace.jsonl`: typed records of
everything said and done, their lines and their digest. `means` keeps means round by round while a run goes on, and
`checkpoint` is what a resumed run needs; both are taken away when a run went well. `expectations` says whether a run
came to what its scenario expects. `formats` tells whether this asyncagg may go on with what another has left.

Nothing is half written: `atomic` replaces a file in one step, and where it must outlive a power cut it waits for the
disk. Nothing is believed because it is in a file: arrays (`npz`) have plain types and no more values than bytes, and
every field is checked. What is wrong is one line with the path.

`key_files` is the folder that `asyncagg keys` makes, with the right of each file, and `roster_file` the public keys
that everyone pins. No secret is in a run directory.
"""
