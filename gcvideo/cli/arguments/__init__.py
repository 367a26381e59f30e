"""The arguments of commands, apart from what does the work: their help imports nothing heavy."""
