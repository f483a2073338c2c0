"""The command line: small modules, one a command, each loaded only when it is named."""
