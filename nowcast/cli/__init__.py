"""The command line: one command a function, each of which calls one function of the rooms below."""
