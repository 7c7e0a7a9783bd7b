"""Programs that make files of this repository, or measure it; nothing imports them at run time. See README.md."""
