"""`cnnx bench`: cnnx against other libraries, in turns on one machine.

==============  ===============================================================================
`nets.py`       the nets, written once for all libraries
`rows.py`       what is measured: a row is a net, a batch and a kind of work; the table of commands
`peers/`        who is measured: the table of peers, one file for each library
`worker.py`     the process of one peer: JSON lines over its standard input and output
`process.py`    the other end of those lines
`machine.py`    what the machine reaches and what others take of it, its description
`measure.py`    turns, statistics, rows that are run again
`report.py`     the table and the file
`chart.py`      the picture
==============  ===============================================================================

A new peer is a file in `peers/` with a subclass of `Peer`, and a line in the table there.
"""
