"""Reading of files and overrides into a `Scenario`, or into every mistake with its line.

`load` is the way in. It reads the file (`files`) and whatever that extends, bases first, and lays one over the other
in a document (`layers`): tables merge key by key, anything else replaces what was there. Overrides (`--set`) come
last. Beside each value the document keeps where it was said, and for that `positions` finds the line of every key in
TOML and JSON, which the standard library does not tell.

`validate` settles what a schema cannot: a new kind, preset or model replaces the keys of the former one that lower
layers said, and relative paths start at the folder of the file that says them. Then the schema validates the whole.
Where that fails, `words` turns each of pydantic's errors into a sentence in the file's own terms, with the word that
was probably meant. `beside` finds mistakes of several keys among those that are right, so that a user hears of all
mistakes at once. They are sorted by file and line.

No text here can do harm: files have a largest size and depth, names are quoted, and what moves a cursor is escaped.
"""
