"""The tab "History": what was answered on this machine, to be found, opened again, exported and deleted."""
