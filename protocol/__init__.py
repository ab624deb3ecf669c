"""Bytes of the Kafka protocol to values and back, without I/O, policy, logging or a clock.

Five words: a *frame* is a size and that many bytes; a *header* says which api and version a frame is of; a *message* is
the rest of it, its body; *records* are a field of some messages; a *batch* is what records are made of.

The way of a request, from the socket to the records:

    frame.pyx        cuts the stream into frames, in the memory that they are parsed from
    header.py        reads api, version, correlation id; knows no request that api.py does not
    api.py           the table of all apis: what is passed, read, rewritten, refused
    features.py      what has to go from an ApiVersions answer with the apis that are refused
    messages/        one file a family: views of a body, the edits that they allow, the answers of the proxy's own
    batch.pyx        records into batches and spans of keys and values, and back
    compression.py   the codecs of batches, bounded while they expand
    sasl.py          a login as it passes: when it is complete, and who it is
    errors.py        what can be wrong, and what the client is told

How a message is read, once for all messages: Kafka's own definitions (schema.py) are compiled for the fields that a
view declares (view.py, fields.py) to a small program (program.py). One strict walker (walk.pyx) runs it over the bytes,
checks every one of them, and says where the declared fields stand; no other value is ever made. A message is changed by
splicing (splice.py), so that what no edit names is passed on as it came; encode.py writes the few messages that the
proxy makes. A frame that may go on as it is, is only skimmed (skim.pyx): the same walk, and no object made of it.
"""
