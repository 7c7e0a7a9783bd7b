"""Arrays, data sets, folders and episodes: what the Lab trains and tests on."""
